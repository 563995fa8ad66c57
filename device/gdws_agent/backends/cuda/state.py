"""What timings on a given GPU depend on: its power mode, its clocks, and how many of its units are on.

Builders choose kernels by timing them, so engines are built for this state.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Optional

from gdws_agent.gpu_clocks import ClockLimits, clock_limits

from .device import multiprocessor_count

_SYSFS = Path("/sys")


class GpuState(NamedTuple):
    """``power_mode`` is the one that a request asked for; clocks are by name, with their limits."""

    power_mode: Optional[str]
    multiprocessors: Optional[int]
    clocks: Mapping[str, ClockLimits]

    def facts(self) -> Dict[str, Any]:
        """Return it as part of what an engine depends on."""
        return {
            "power_mode": self.power_mode,
            "multiprocessors": self.multiprocessors,
            "clocks": {name: list(limits) for name, limits in self.clocks.items()},
        }

    def in_words(self) -> List[str]:
        """Return it as name=value; without the power mode, which a cell has already, and with what is not known."""
        count = "not known" if self.multiprocessors is None else str(self.multiprocessors)
        clocks = ", ".join(
            f"{name} {limits.min_mhz:.0f} to {limits.max_mhz:.0f}" for name, limits in sorted(self.clocks.items())
        )
        return [f"multiprocessors={count}", f"gpu_clocks_mhz={clocks or 'not shown by the kernel'}"]


def read_gpu_state(power_mode: Optional[str], sysfs: Path = _SYSFS) -> GpuState:
    """Return the state of the first GPU now."""
    return GpuState(power_mode, multiprocessor_count(), clock_limits(sysfs))
