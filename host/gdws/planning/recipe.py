"""A recipe for making one GDWS network from a dense one."""

from __future__ import annotations

from dataclasses import dataclass

from gdws.planning.budget import Budget
from gdws_contract.plan import Layout, Method


@dataclass(frozen=True)
class Recipe:
    """A budget and a layout.

    ``method`` ``weights`` is the paper's; ``weighted`` asks it for alphas, without which every input channel weighs the
    same. ``data-aware`` fits to calibration images. Layers that match ``skip`` stay dense, and ``label`` tells so in
    the name.
    """

    budget: Budget
    layout: Layout = "gather"
    method: Method = "weights"
    weighted: bool = True
    skip: tuple[str, ...] = ()
    label: str | None = None

    @property
    def name(self) -> str:
        """E.g. ``mean-rank-2``, ``mean-rank-2-stacked``, or ``data-rank-2-stacked`` for a data-aware one."""
        kind = self.budget.kind.replace("_", "-")
        if self.method == "data-aware":
            kind = f"data-{kind.removeprefix('mean-')}"
        words = [f"{kind}-{self.budget.value:g}"]
        words += [] if self.layout == "gather" else [self.layout]
        return "-".join([*words, *([] if self.label is None else [self.label])])
