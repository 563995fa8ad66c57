"""The GPU's clocks from the kernel's devfreq: names, frequencies and limits."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Dict, NamedTuple, Optional

#: gm20b to gb10b are the chips of Nano, TX2, Xavier, Orin and Thor.
_GPU = re.compile(r"gm20b|gp10b|gv11b|ga10b|gb10b|gpu")
#: From Thor on a GPU has several clock domains: its graphics clusters compute, its codecs (nvd) do not.
_DOMAIN = re.compile(r"^gpu-(\w+-\d+)$")
_COMPUTING = "gpc-0"
COMPUTE_CLOCK = "GPU"


class ClockLimits(NamedTuple):
    """The current lower and upper limit of a clock, in MHz."""

    min_mhz: float
    max_mhz: float


def clock_name(node: str) -> Optional[str]:
    """Return the name of the clock of devfreq's ``node``, ``GPU`` for the computing one; None if not a GPU's."""
    if not _GPU.search(node):
        return None
    domain = _DOMAIN.match(node)
    return COMPUTE_CLOCK if domain is None or domain[1] == _COMPUTING else f"{COMPUTE_CLOCK} {domain[1]}"


def clock_folders(sysfs: Path) -> Dict[str, Path]:
    """Return clock -> devfreq's folder of it."""
    found: Dict[str, Path] = {}
    for folder in sorted(sysfs.glob("class/devfreq/*")):
        name = clock_name(folder.name)
        if name is not None:
            found[name if name not in found else f"{name} {folder.name}"] = folder
    return found


def clock_limits(sysfs: Path) -> Dict[str, ClockLimits]:
    """Return clock -> its limits; without those that cannot be read."""
    found = {}
    for name, folder in clock_folders(sysfs).items():
        low, high = read_mhz(folder / "min_freq"), read_mhz(folder / "max_freq")
        if low is not None and high is not None:
            found[name] = ClockLimits(low, high)
    return found


def are_fixed(sysfs: Path) -> Optional[bool]:
    """Return whether the computing clock is held at one frequency, as jetson_clocks does; None where unknown."""
    limits = clock_limits(sysfs).get(COMPUTE_CLOCK)
    return None if limits is None else limits.min_mhz == limits.max_mhz


def read_mhz(path: Path) -> Optional[float]:
    """Return the frequency in a file that counts in Hz, in MHz; None where it cannot be read."""
    try:
        return int(path.read_text(encoding="utf-8", errors="replace").strip("\0\n ")) / 1e6
    except (OSError, ValueError):
        return None
