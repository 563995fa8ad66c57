"""Which rails make up the total, and what that total covers.

Adding up whatever rails a board reports counts some of the power twice: an input rail feeds the others
behind it. One rule serves every sensor, so that their totals can be compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Collection, Mapping, Optional, Tuple

#: Rails that carry all the power, the widest first, and what they cover.
INPUT_RAILS = (
    ("VIN", "board power"),  # AGX Thor: INA238 on the carrier board
    ("VDD_IN", "module power"),  # Xavier NX, Orin NX, Orin Nano, TX2
    ("POM_5V_IN", "module power"),  # Nano, TX1
)
#: Boards whose rails together carry all the power of the module. Any other sum may lack some.
WHOLE_SUMS = (
    frozenset({"GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"}),  # AGX Xavier
    frozenset({"VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"}),  # AGX Orin
)
#: Rails behind another measured rail -> that rail. AGX Orin: the 5 V rail feeds the memory's supplies
#: (Jetson Linux Developer Guide, "Software-Based Power Consumption Modeling").
INNER_RAILS = {"VDDQ_VDD2_1V8AO": "VIN_SYS_5V0"}


@dataclass(frozen=True)
class TotalRule:
    """``parts`` are the rails to add; ``scope`` says in words what the sum covers."""

    parts: Tuple[str, ...]
    scope: str

    def total_w(self, rails_w: Mapping[str, float]) -> Optional[float]:
        """Return the total of ``rails_w`` in watts, or None when a part of it is missing."""
        try:
            return sum(rails_w[name] for name in self.parts)
        except KeyError:
            return None


def total_rule(names: Collection[str]) -> TotalRule:
    """Return how to reach the total from the rails ``names``.

    Raises:
        ValueError: there are no rails.
    """
    if not names:
        raise ValueError("no power rails")
    for name, covers in INPUT_RAILS:
        if name in names:
            return TotalRule((name,), f"{covers}, rail {name}")
    parts = tuple(sorted(name for name in names if INNER_RAILS.get(name) not in names))
    left_out = sorted(set(names) - set(parts))
    whole = any(rails.issubset(parts) for rails in WHOLE_SUMS)
    scope = f"{'module power' if whole else 'part of the power'}, sum of the rails {', '.join(parts)}"
    for name in left_out:
        scope += f"; {name} lies behind {INNER_RAILS[name]} and is not added"
    return TotalRule(parts, scope)
