"""Heat and clocks while something is measured, and the signs that either held the machine back.

Everything is read from files that the kernel shows to all users; what it does not show is left out. The
memory clock is among what it hides, so that :mod:`~gdws_agent.power.jtop` tells it where it can.
"""

from __future__ import annotations

import math
import re
import time
from pathlib import Path
from typing import Callable, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from gdws_contract.measures import Flag
from gdws_contract.thermal import ClockSummary, TemperatureSummary, Thermal

_GPU = re.compile(r"gm20b|gp10b|gv11b|ga10b|gb10b|gpu")
#: A zone that is not powered reads -256 C, and the power chip's has a fixed value on some modules.
_OFFLINE_C = -200.0
_FIXED_ZONES = ("PMIC",)
#: Cooling devices that hold no clock down: what turns faster, dims, or is a constant.
_NO_CAP = re.compile(r"fan|lcd|video|tcc|wlwifi", re.IGNORECASE)
#: jtop's service tells once or twice a second; when it is gone, its last words stay.
_STALE_S = 5.0
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


class Gauges:
    """What shows a machine's conditions, looked for once, so that a reading takes no more than some milliseconds.

    A reading is for the moments between measured windows, never for within: it would take the interpreter from
    what is measured. Clocks are read first, for a governor lowers them soon after the work has ended.
    ``also`` gives what another source knows, such as a power sensor; what it knew long ago is passed over.
    """

    def __init__(self, sysfs: Path = Path("/sys"), also: Callable[[], Optional[Conditions]] = lambda: None) -> None:
        self._also = also
        self._clocks = _clock_files(sysfs, "scaling_cur_freq", "cur_freq", "rate")
        self._limits = _clock_files(sysfs, "scaling_max_freq", "max_freq", "max_rate")
        self._zones = _typed(sysfs, "thermal_zone", "temp")
        self._caps = _typed(sysfs, "cooling_device", "cur_state")
        self._events = sorted(sysfs.glob("class/hwmon/hwmon*/oc*_event_cnt"))

    def read(self) -> Conditions:
        """Return the conditions right now."""
        time_s = time.monotonic()
        now = Conditions(
            time_s=time_s,
            clocks_mhz=_mhz(self._clocks),
            limits_mhz=_mhz(self._limits),
            caps=_highest((kind, _number(path)) for kind, path in self._caps if not _NO_CAP.search(kind)),
            events={
                path.name[: -len("_event_cnt")]: count
                for path, count in ((path, _number(path)) for path in self._events)
                if count is not None
            },
            temperatures_c={
                zone: value / 1e3
                for zone, value in ((zone, _number(path)) for zone, path in self._zones)
                if value is not None and value / 1e3 > _OFFLINE_C and not zone.startswith(_FIXED_ZONES)
            },
        )
        also = self._also()
        return now if also is None or time_s - also.time_s > _STALE_S else merge(now, also)


def summarise(seen: Sequence[Conditions]) -> Optional[Thermal]:
    """Return temperatures, clocks and signs of throttling over ``seen``, in order of time.

    None when nothing was read, or the machine shows nothing.
    """
    tells = any(each.caps or each.events or each.limits_mhz for each in seen)
    if not tells and not any(each.temperatures_c or each.clocks_mhz for each in seen):
        return None
    signs = list(throttling(seen))
    lowest_limits = {name: min(values) for name, values in _series([each.limits_mhz for each in seen]).items()}
    return Thermal(
        readings=len(seen),
        temperatures=[
            TemperatureSummary(name=name, start_c=values[0], max_c=max(values), end_c=values[-1])
            for name, values in _series([each.temperatures_c for each in seen]).items()
        ],
        clocks=[
            ClockSummary(
                name=name,
                min_mhz=min(values),
                mean_mhz=math.fsum(values) / len(values),
                max_mhz=max(values),
                limit_mhz=lowest_limits.get(name),
            )
            for name, values in _series([each.clocks_mhz for each in seen]).items()
        ],
        throttled=bool(signs) if tells else None,
        throttling=signs,
    )


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


def _typed(sysfs: Path, kind: str, value: str) -> List[Tuple[str, Path]]:
    """Return (type, file of the value) of the thermal zones or cooling devices."""
    found = [(_text(path / "type"), path / value) for path in sorted(sysfs.glob(f"class/thermal/{kind}*"))]
    return [(name, path) for name, path in found if name]


class _ClockFiles(NamedTuple):
    """Files that tell one clock; of several cores the fastest holds. ``unit_hz``: what the files count in."""

    unit_hz: float
    paths: List[Path]


def _clock_files(sysfs: Path, cpu_file: str, gpu_file: str, emc_file: str) -> Dict[str, _ClockFiles]:
    return {
        "CPU": _ClockFiles(1e3, sorted(sysfs.glob(f"devices/system/cpu/cpu[0-9]*/cpufreq/{cpu_file}"))),
        "GPU": _ClockFiles(1.0, [path / gpu_file for path in sysfs.glob("class/devfreq/*") if _GPU.search(path.name)]),
        "EMC": _ClockFiles(1.0, [sysfs / "kernel/debug/bpmp/debug/clk/emc" / emc_file]),
    }


def _mhz(clocks: Mapping[str, _ClockFiles]) -> Dict[str, float]:
    highest = _highest((name, _number(path)) for name, files in clocks.items() for path in files.paths)
    return {name: value * clocks[name].unit_hz / 1e6 for name, value in highest.items()}


def _highest(values: Iterable[Tuple[str, Optional[int]]]) -> Dict[str, int]:
    """Return the highest of the known values of each name."""
    found: Dict[str, int] = {}
    for name, value in values:
        if value is not None:
            found[name] = max(value, found.get(name, value))
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
