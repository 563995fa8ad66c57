"""Differences between two runs besides the networks: everything else that could have changed a time."""

from __future__ import annotations

from typing import Any, Dict, Iterable, Mapping, Optional, Protocol, Tuple

from gdws_contract.base import Reading
from gdws_contract.rest import Cell, DeviceInfo, Job
from gdws_contract.thermal import MEMORY_CLOCK

#: JetPack by the first number of L4T's release.
_JETPACK = {"32": "4", "34": "5", "35": "5", "36": "6", "38": "7", "39": "7"}
#: What the worker tells of each cell that does not change by itself from minute to minute.
_SETTINGS = ("threads", "cpu_affinity", "cpu_quota_cores", "cpu_governor", "cpu_mhz_max", "garbage_collector")


class Measured(Protocol):
    """Anything that has a job and the device that it ran on, such as a stored result."""

    @property
    def job(self) -> Job:
        """With its cells."""

    @property
    def device(self) -> DeviceInfo:
        """As it was then, or as it is now."""


class Difference(Reading):
    """One condition that differs; None if unknown."""

    what: str
    a: Optional[str]
    b: Optional[str]

    def __str__(self) -> str:
        """``L4T: 35.4.1, then 36.4.0``."""
        return f"{self.what}: {self.a or 'not known'}, then {self.b or 'not known'}"


def differences(a: Measured, b: Measured) -> Tuple[Difference, ...]:
    """What differs between the :func:`surroundings` of two runs, what happened in them, and their engines."""
    return (
        *differing(surroundings(a), surroundings(b)),
        *differing(_events(a.job.cells), _events(b.job.cells)),
        *_engine_differences(a.job.cells, b.job.cells),
    )


def differing(before: Mapping[str, Optional[str]], after: Mapping[str, Optional[str]]) -> Tuple[Difference, ...]:
    """What differs between two :func:`surroundings`."""
    names = dict.fromkeys([*before, *after])
    pairs = [Difference(what=name, a=before.get(name), b=after.get(name)) for name in names]
    return tuple(pair for pair in pairs if pair.a != pair.b)


def surroundings(result: Measured) -> Dict[str, Optional[str]]:
    """Everything but the networks that shapes a time, by name: device, releases, modes, runtimes, protocol."""
    cells, request = result.job.cells, result.job.request
    return {
        **_device(result.device, cells),
        **_runtimes(result.device, cells),
        "power mode": _one_or_all(cell.power_mode for cell in cells),
        "fixed clocks": _one_or_all(cell.jetson_clocks for cell in cells),
        "memory clock limit": _one_or_all(map(_memory_clock_limit, cells)),
        **{_words(name): _one_or_all(cell.environment.get(name) for cell in cells) for name in _SETTINGS},
        **{f"protocol: {_words(name)}": _text(value) for name, value in request.protocol.model_dump().items()},
        **{f"engine: {_words(name)}": _text(value) for name, value in request.engine.model_dump().items()},
    }


def _memory_clock_limit(cell: Cell) -> Optional[str]:
    """The highest memory clock that the power mode allowed; the clock itself follows the load below that."""
    clocks = [] if cell.thermal is None else cell.thermal.clocks
    limits = [clock.limit_mhz for clock in clocks if clock.name == MEMORY_CLOCK and clock.limit_mhz is not None]
    return f"{min(limits):.0f} MHz" if limits else None


def _events(cells: Iterable[Cell]) -> Dict[str, Optional[str]]:
    """Conditions of a run that it could not choose."""
    return {
        "throttled": _one_or_all(cell.thermal.throttled for cell in cells if cell.thermal is not None),
        "power sensor": _one_or_all(cell.power.sensor for cell in cells if cell.power is not None),
    }


def _engine_differences(a: Iterable[Cell], b: Iterable[Cell]) -> Tuple[Difference, ...]:
    """Options with which engines of the same cell were built or run, where they were not the same."""
    before = {cell.key: cell.build for cell in a}
    found: Dict[Difference, None] = {}
    for cell in b:
        earlier = before.get(cell.key)
        if earlier is not None and cell.build is not None:
            pair = (_by_name(build.options, cell.key.backend) for build in (earlier, cell.build))
            found.update(dict.fromkeys(differing(*pair)))
    return tuple(found)


def _by_name(options: Iterable[str], backend: str) -> Dict[str, Optional[str]]:
    """``name=value`` as value by ``backend: name``."""
    pairs = (option.partition("=") for option in options)
    return {f"{backend}: {_words(name)}": value for name, _, value in pairs}


def jetpack(l4t: Optional[str]) -> Optional[str]:
    """The JetPack that a release of L4T belongs to, e.g. ``5`` of ``35.4.1``; None if it is not known."""
    return None if l4t is None else _JETPACK.get(l4t.partition(".")[0])


def _device(device: DeviceInfo, cells: Iterable[Cell]) -> Dict[str, Optional[str]]:
    return {
        "device": device.hostname,
        "board": device.board,
        "JetPack": jetpack(device.l4t),
        "L4T": device.l4t,
        "simulated": _text(device.simulated or any(cell.simulated for cell in cells)),
        "operating system": device.os,
        "kernel": device.kernel,
        "instruction set": device.machine,
        "processor": device.cpu_model,
        "logical cores": _text(device.logical_cores),
        "agent": device.agent_version,
        "Python of the agent": device.python,
    }


def _runtimes(device: DeviceInfo, cells: Iterable[Cell]) -> Dict[str, Optional[str]]:
    """The runtimes that were used, each with its version and what it says of itself."""
    used = dict.fromkeys(cell.key.backend for cell in cells)
    told: Dict[str, Optional[str]] = {}
    for backend in used:
        known = next((each for each in device.backends if each.name == backend), None)
        versions = (cell.environment.get("backend_version") for cell in cells if cell.key.backend == backend)
        told[f"{backend}: version"] = _one_or_all(versions) or (known.version if known else None)
        detail = known.detail if known else {}
        told.update({f"{backend}: {_words(name)}": value or None for name, value in detail.items()})
    return told


def _one_or_all(values: Iterable[Any]) -> Optional[str]:
    """The value that all have in common, or every one that occurs."""
    texts = dict.fromkeys(text for text in map(_text, values) if text is not None)
    return ", ".join(texts) or None


def _text(value: Any) -> Optional[str]:
    if value is None:
        return None
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _words(name: str) -> str:
    return name.replace("_", " ")
