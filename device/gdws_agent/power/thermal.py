"""Temperatures and clocks during a measurement, and signs of throttling.

Everything is read from files that the kernel shows to all users; what it does not show is left out. The
memory clock is among what it hides, so that :mod:`~gdws_agent.power.jtop` tells it where it can.
"""

from __future__ import annotations

import math
import re
import time
from pathlib import Path
from typing import Callable, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple, TypeVar

from gdws_agent.gpu_clocks import clock_folders
from gdws_contract.measures import Flag
from gdws_contract.thermal import MEMORY_CLOCK, ClockSummary, TemperatureSummary, Thermal

#: A zone that is not powered reads -256 C, and the power chip's has a fixed value on some modules.
_OFFLINE_C = -200.0
_FIXED_ZONES = ("PMIC",)
#: Cooling devices that hold clocks down. All others warn, turn faster, dim, or are constants: among them
#: ``hot-surface-alert`` of Orin, which belongs to the fan's trip at 70 C, where clocks are held from 99 C on.
_CAP = re.compile(r"throttle-alert|cpufreq|devfreq|^processor$", re.IGNORECASE)
#: jtop's service reports once or twice a second; when it is gone, its last report remains.
_STALE_S = 5.0
#: A limit on a clock that fell by more than this was lowered, not rounded.
_LIMIT_STEP = 0.01

_Value = TypeVar("_Value", int, float)


class Conditions(NamedTuple):
    """The machine at one moment of ``time.monotonic``.

    Clocks that go their own ways are told apart, so that one cannot hide behind another. ``limits_mhz``: the highest
    that each clock may go. ``caps``: the states of what holds clocks down against
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
        self._clocks = [*_cpu_clocks(sysfs), *_gpu_clocks(sysfs), _memory_clock(sysfs)]
        self._zones = _apart(_typed(sysfs, "thermal_zone", "temp"))
        self._caps = [each for each in _typed(sysfs, "cooling_device", "cur_state") if _CAP.search(each.name)]
        self._events = _apart(
            _Gauge(path.name[: -len("_event_cnt")], path)
            for path in sorted(sysfs.glob("class/hwmon/hwmon*/oc*_event_cnt"))
        )

    def read(self) -> Conditions:
        """Return the conditions right now."""
        time_s = time.monotonic()
        now = Conditions(
            time_s=time_s,
            clocks_mhz=_known((clock.name, clock.read_mhz()) for clock in self._clocks),
            limits_mhz=_known((clock.name, clock.read_limit_mhz()) for clock in self._clocks),
            caps=_highest((cap.name, _number(cap.path)) for cap in self._caps),
            events=_known((event.name, _number(event.path)) for event in self._events),
            temperatures_c={
                name: millidegrees / 1e3
                for name, millidegrees in _known((zone.name, _number(zone.path)) for zone in self._zones).items()
                if millidegrees / 1e3 > _OFFLINE_C and not name.startswith(_FIXED_ZONES)
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
    """Yield the doubts that throttling, and clocks that were set free, cast on what was measured meanwhile."""
    signs = list(throttling(seen))
    if signs:
        yield Flag(code="throttled", detail="; ".join(signs))
    raised = [
        f"the limit of the {name} clock rose from {limits[0]:.0f} to {max(limits):.0f} MHz"
        for name, limits in sorted(_series([each.limits_mhz for each in seen]).items())
        if max(limits) > limits[0] * (1 + _LIMIT_STEP)
    ]
    if raised:
        yield Flag(code="clocks-raised", detail="; ".join(raised))


def _series(mappings: Sequence[Mapping[str, float]]) -> Dict[str, List[float]]:
    series: Dict[str, List[float]] = {}
    for mapping in mappings:
        for name, value in mapping.items():
            series.setdefault(name, []).append(value)
    return series


class _Gauge(NamedTuple):
    """A file that holds a number, and what it tells of."""

    name: str
    path: Path


def _typed(sysfs: Path, kind: str, value: str) -> List[_Gauge]:
    """Return the files ``value`` of the thermal zones or cooling devices, by their types."""
    found = [(_text(path / "type"), path / value) for path in sorted(sysfs.glob(f"class/thermal/{kind}*"))]
    return [_Gauge(name, path) for name, path in found if name]


def _apart(gauges: Iterable[_Gauge]) -> List[_Gauge]:
    """Return ``gauges`` with names that differ: of several of one name, those after the first bear their folder's."""
    found: Dict[str, _Gauge] = {}
    for name, path in gauges:
        unique = name if name not in found else f"{name} {path.parent.name}"
        found[unique] = _Gauge(unique, path)
    return list(found.values())


class _Clock(NamedTuple):
    """Files of the frequency and of its limits, in ``unit_hz``: one for each core, where cores are clocked together.

    A limit of 0 is none, as that of a power mode which leaves the memory clock alone.
    """

    name: str
    unit_hz: float
    frequencies: List[Path]
    limits: List[Path]

    def read_mhz(self) -> Optional[float]:
        """Return the clock, of several cores that of the fastest."""
        return self._mhz(self.frequencies, max)

    def read_limit_mhz(self) -> Optional[float]:
        """Return the limit, of several the lowest: cores began with the same."""
        return self._mhz(self.limits, min, least=1)

    def _mhz(self, paths: Sequence[Path], chosen: Callable[[Iterable[int]], int], least: int = 0) -> Optional[float]:
        values = [value for value in map(_number, paths) if value is not None and value >= least]
        return chosen(values) * self.unit_hz / 1e6 if values else None


def _cpu_clocks(sysfs: Path) -> List[_Clock]:
    """Return a clock for each limit that cores have now: clusters of different cores, and what is held down already."""
    cores: Dict[Optional[int], List[int]] = {}
    folders = {int(path.parent.name[len("cpu") :]): path for path in sysfs.glob("devices/system/cpu/cpu[0-9]*/cpufreq")}
    for core, folder in sorted(folders.items()):
        cores.setdefault(_number(folder / "scaling_max_freq"), []).append(core)
    return [
        _Clock(
            "CPU" if len(cores) == 1 else f"CPU {_ranges(numbers)}",
            1e3,
            [folders[core] / "scaling_cur_freq" for core in numbers],
            [folders[core] / "scaling_max_freq" for core in numbers],
        )
        for numbers in cores.values()
    ]


def _gpu_clocks(sysfs: Path) -> List[_Clock]:
    return [
        _Clock(name, 1.0, [folder / "cur_freq"], [folder / "max_freq"]) for name, folder in clock_folders(sysfs).items()
    ]


def _memory_clock(sysfs: Path) -> _Clock:
    folder = sysfs / "kernel/debug/bpmp/debug/clk/emc"
    cap = sysfs / "kernel/nvpmodel_emc_cap/emc_iso_cap"
    return _Clock(MEMORY_CLOCK, 1.0, [folder / "rate"], [folder / "max_rate", cap])


def _ranges(numbers: Sequence[int]) -> str:
    """Return ascending ``numbers`` as e.g. ``0-3,6``."""
    parts: List[List[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ",".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)


def _highest(values: Iterable[Tuple[str, Optional[int]]]) -> Dict[str, int]:
    """Return the highest of the known values of each name: one of many processors that is held down is told."""
    found: Dict[str, int] = {}
    for name, value in values:
        if value is not None:
            found[name] = max(value, found.get(name, value))
    return found


def _known(values: Iterable[Tuple[str, Optional[_Value]]]) -> Dict[str, _Value]:
    return {name: value for name, value in values if value is not None}


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
