"""Heat and clocks while something is measured, and the signs that either held the machine back.

Everything is read from files that the kernel shows to all users; what it does not show is left out. The
memory clock is among what it hides, so that :mod:`~gdws_agent.power.jtop` tells it where it can.
"""

from __future__ import annotations

import math
import re
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence

from gdws_contract.measures import Flag

from .periodic import Periodic

_GPU = re.compile(r"gm20b|gp10b|gv11b|ga10b|gb10b|gpu")
#: A zone that is not powered reads -256 C, and the power chip's has a fixed value on some modules.
_OFFLINE_C = -200.0
_FIXED_ZONES = ("PMIC",)
#: A limit on a clock that fell by more than this was lowered, not rounded.
_LIMIT_STEP = 0.01


class Conditions(NamedTuple):
    """The machine at one moment of ``time.monotonic``.

    ``limits_mhz``: the highest that each clock may go. ``caps``: the states of what holds clocks down against
    heat, 0 when it does not. ``events``: running counts of over-current and under-voltage events, each of
    which slows the chip for a moment.
    """

    time_s: float
    temperatures_c: Mapping[str, float] = {}
    clocks_mhz: Mapping[str, float] = {}
    limits_mhz: Mapping[str, float] = {}
    caps: Mapping[str, int] = {}
    events: Mapping[str, int] = {}


def read_conditions(sysfs: Path = Path("/sys")) -> Conditions:
    """Return the conditions right now."""
    return Conditions(
        time_s=time.monotonic(),
        temperatures_c=_temperatures(sysfs),
        clocks_mhz=_clocks(sysfs, "scaling_cur_freq", "cur_freq", "rate"),
        limits_mhz=_clocks(sysfs, "scaling_max_freq", "max_freq", "max_rate"),
        caps=_caps(sysfs),
        events=_events(sysfs),
    )


def merge(first: Conditions, second: Conditions) -> Conditions:
    """Return ``first`` with what only ``second`` knows."""
    return Conditions(
        time_s=first.time_s,
        temperatures_c={**second.temperatures_c, **first.temperatures_c},
        clocks_mhz={**second.clocks_mhz, **first.clocks_mhz},
        limits_mhz={**second.limits_mhz, **first.limits_mhz},
        caps={**second.caps, **first.caps},
        events={**second.events, **first.events},
    )


class Watch:
    """Reads the conditions every ``interval_s`` in the background.

    ``also`` gives what another source knows, such as a power sensor.
    """

    def __init__(
        self,
        sysfs: Path = Path("/sys"),
        interval_s: float = 1.0,
        also: Callable[[], Optional[Conditions]] = lambda: None,
    ) -> None:
        self._sysfs = sysfs
        self._also = also
        self._thread = Periodic(self._read, interval_s, "thermal-watch")
        self.seen: List[Conditions] = []

    def __enter__(self) -> Watch:
        self._read()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.stop()
        self._read()

    def _read(self) -> None:
        now, also = read_conditions(self._sysfs), self._also()
        self.seen.append(now if also is None else merge(now, also))


def summarise(seen: Sequence[Conditions]) -> Dict[str, Any]:
    """Return temperatures (C), clocks (MHz) and signs of throttling over ``seen``, in order of time, as plain data.

    ``throttled`` is None when the machine shows nothing that could tell.

    Raises:
        ValueError: ``seen`` is empty.
    """
    if not seen:
        raise ValueError("no conditions were read")
    signs = list(throttling(seen))
    tells = any(each.caps or each.events or each.limits_mhz for each in seen)
    return {
        "readings": len(seen),
        "temperatures_c": {
            name: {"start": values[0], "max": max(values), "end": values[-1]}
            for name, values in _series([each.temperatures_c for each in seen]).items()
        },
        "clocks_mhz": {
            name: {"min": min(values), "mean": math.fsum(values) / len(values), "max": max(values)}
            for name, values in _series([each.clocks_mhz for each in seen]).items()
        },
        "limits_mhz": {name: min(values) for name, values in _series([each.limits_mhz for each in seen]).items()},
        "throttled": bool(signs) if tells else None,
        "throttling": signs,
    }


def throttling(seen: Sequence[Conditions]) -> Iterator[str]:
    """Yield the signs that heat or current held the machine back, in words."""
    for name, states in sorted(_series([each.caps for each in seen]).items()):
        if max(states) > 0:
            yield f"{name} held clocks down against heat (state {max(states):.0f})"
    for name, counts in sorted(_series([each.events for each in seen]).items()):
        if counts[-1] > counts[0]:
            yield f"{counts[-1] - counts[0]:.0f} {name} events slowed the chip"
    for name, limits in sorted(_series([each.limits_mhz for each in seen]).items()):
        if min(limits) < limits[0] * (1 - _LIMIT_STEP):
            yield f"the limit of the {name} clock fell from {limits[0]:.0f} to {min(limits):.0f} MHz"


def thermal_flags(seen: Sequence[Conditions]) -> Iterator[Flag]:
    """Yield the doubt that throttling casts on what was measured meanwhile."""
    signs = list(throttling(seen))
    if signs:
        yield Flag(code="throttled", detail="; ".join(signs))


def _series(mappings: Sequence[Mapping[str, float]]) -> Dict[str, List[float]]:
    series: Dict[str, List[float]] = {}
    for mapping in mappings:
        for name, value in mapping.items():
            series.setdefault(name, []).append(value)
    return series


def _temperatures(sysfs: Path) -> Dict[str, float]:
    found: Dict[str, float] = {}
    for zone in sorted(sysfs.glob("class/thermal/thermal_zone*")):
        name, value = _text(zone / "type"), _number(zone / "temp")
        if name and value is not None and value / 1e3 > _OFFLINE_C and not name.startswith(_FIXED_ZONES):
            found[name] = value / 1e3
    return found


def _clocks(sysfs: Path, cpu_file: str, gpu_file: str, emc_file: str) -> Dict[str, float]:
    """Return MHz by name; of several cores the fastest. CPU files are in kHz, the others in Hz."""
    files = {
        "CPU": (1e3, sorted(sysfs.glob(f"devices/system/cpu/cpu[0-9]*/cpufreq/{cpu_file}"))),
        "GPU": (1e6, [path / gpu_file for path in sysfs.glob("class/devfreq/*") if _GPU.search(path.name)]),
        "EMC": (1e6, [sysfs / "kernel/debug/bpmp/debug/clk/emc" / emc_file]),
    }
    values = {name: [_number(path) for path in paths] for name, (_, paths) in files.items()}
    known = {name: [value for value in found if value is not None] for name, found in values.items()}
    return {name: max(found) / files[name][0] for name, found in known.items() if found}


def _caps(sysfs: Path) -> Dict[str, int]:
    found: Dict[str, int] = {}
    for device in sorted(sysfs.glob("class/thermal/cooling_device*")):
        kind, state = _text(device / "type"), _number(device / "cur_state")
        # A fan that turns faster is not a clock that is held down.
        if kind and state is not None and "fan" not in kind.lower():
            found[kind] = max(state, found.get(kind, 0))
    return found


def _events(sysfs: Path) -> Dict[str, int]:
    """Return the counts of the over-current and under-voltage monitors of Orin and later."""
    found: Dict[str, int] = {}
    for path in sorted(sysfs.glob("class/hwmon/hwmon*/oc*_event_cnt")):
        count = _number(path)
        if count is not None:
            found[path.name[: -len("_event_cnt")]] = count
    return found


def _number(path: Path) -> Optional[int]:
    try:
        return int(_text(path) or "")
    except ValueError:
        return None


def _text(path: Path) -> Optional[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0\n ")
    except OSError:
        return None
