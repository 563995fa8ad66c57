"""The environment of a measurement: cores, clocks, load. Unreadable values are None."""

from __future__ import annotations

import os
import platform
import resource
import time
from pathlib import Path
from typing import Any, Dict, NamedTuple, Optional

import psutil

from .cgroups import cpuset_cores, quota_cores
from .windows import SETTLE_INFERENCES

_ROOT = Path("/")
_CPU = "sys/devices/system/cpu"


def usable_cores(root: Path = _ROOT) -> int:
    """Return how many physical cores this process may use, by the machine, its affinity and its control groups."""
    limits = (psutil.cpu_count(logical=False), _affinity(), quota_cores(root), cpuset_cores(root))
    return max(1, min(int(limit) for limit in limits if limit is not None))


def describe_rounds(seed: int) -> Dict[str, Any]:
    """Return how the rounds of a sweep are run, whose order ``seed`` draws."""
    return {
        "order": f"balanced square, seed {seed}",
        "discarded_after_switch": SETTLE_INFERENCES,
        "garbage_collector": "off in the rounds",
        "heat_and_clocks": "read after each window",
    }


def describe_environment(root: Path = _ROOT) -> Dict[str, Any]:
    """Return the state of the machine right now, as it goes into each cell."""
    return {
        "python": platform.python_version(),
        "cpu_affinity": _affinity(),
        "cpu_quota_cores": quota_cores(root),
        "cpu_governor": _governors(root),
        "cpu_mhz_min": _mhz(root, "cpuinfo_min_freq"),
        "cpu_mhz_max": _mhz(root, "cpuinfo_max_freq"),
        "load_average_1min": os.getloadavg()[0],
        "memory_available_bytes": psutil.virtual_memory().available,
        "private_memory_bytes": psutil.Process().memory_info().data,
        "private_memory_limit_bytes": _private_memory_limit(),
    }


class Snapshot(NamedTuple):
    """Counters: CPU seconds of the machine and of this process, and thermal throttling events."""

    wall_s: float
    busy_s: float
    stolen_s: float
    own_s: float
    throttle_events: Optional[int]


class Activity(NamedTuple):
    """The activity of the machine between two snapshots; shares are of the time of all logical CPUs."""

    cpu_others_share: float
    cpu_stolen_share: float
    cpu_throttle_events: Optional[int]


def snapshot(root: Path = _ROOT) -> Snapshot:
    """Return the current counters."""
    times = psutil.cpu_times()
    return Snapshot(
        wall_s=time.monotonic(),
        busy_s=sum(getattr(times, name, 0.0) for name in ("user", "nice", "system", "irq", "softirq")),
        stolen_s=getattr(times, "steal", 0.0),
        own_s=time.process_time(),
        throttle_events=_throttle_events(root),
    )


def activity(before: Snapshot, after: Snapshot, logical_cores: int) -> Activity:
    """Return what happened between two snapshots; all zero when no time passed."""
    capacity_s = (after.wall_s - before.wall_s) * logical_cores
    throttled = None
    if before.throttle_events is not None and after.throttle_events is not None:
        throttled = after.throttle_events - before.throttle_events
    if capacity_s <= 0:
        return Activity(0.0, 0.0, throttled)
    others_s = (after.busy_s - before.busy_s) - (after.own_s - before.own_s)
    stolen_s = after.stolen_s - before.stolen_s
    return Activity(max(0.0, others_s / capacity_s), max(0.0, stolen_s / capacity_s), throttled)


def _affinity() -> Optional[int]:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def _private_memory_limit() -> Optional[int]:
    """Return the limit of this process's private memory, which may include CUDA's mappings; None without a limit."""
    limit, _ = resource.getrlimit(resource.RLIMIT_DATA)
    return None if limit == resource.RLIM_INFINITY else limit


def _governors(root: Path) -> Optional[str]:
    found = {_read(path) for path in root.glob(f"{_CPU}/cpu[0-9]*/cpufreq/scaling_governor")}
    return ", ".join(sorted(name for name in found if name)) or None


def _mhz(root: Path, name: str) -> Optional[float]:
    """Return a clock of the fastest CPU; the files are in kHz."""
    found = [_number(path) for path in root.glob(f"{_CPU}/cpu[0-9]*/cpufreq/{name}")]
    return max((khz / 1e3 for khz in found if khz is not None), default=None)


def _throttle_events(root: Path) -> Optional[int]:
    found = [_number(path) for path in root.glob(f"{_CPU}/cpu[0-9]*/thermal_throttle/core_throttle_count")]
    counts = [count for count in found if count is not None]
    return sum(counts) if counts else None


def _number(path: Path) -> Optional[int]:
    text = _read(path)
    return int(text) if text is not None and text.isdigit() else None


def _read(path: Path) -> Optional[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
