"""What a report over devices is made of: its inputs, and the matrix of networks by devices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from gdws_contract.findings.cells import Speed
from gdws_contract.findings.setting import Setting
from gdws_contract.measures import Flag, Interval
from gdws_contract.rest import BenchmarkResult

Quality = Literal["baseline", "kept", "at a price", "agreement", "changed", "not judged", "not shown"]


@dataclass(frozen=True)
class FleetMeasurement:
    """One stored result of a device. A device may have several, e.g. one for each bundle of a sweep.

    ``device`` is its name in devices.toml, not its host name: a name is one device, whatever it calls itself.
    """

    device: str
    tags: tuple[str, ...]
    result: BenchmarkResult


@dataclass(frozen=True)
class SetAside:
    """A device that was given up, and why; or, with ``job``, that job alone. It may have other results.

    ``is_retried`` where the sweep still runs, and tries the device again.
    """

    device: str
    tags: tuple[str, ...]
    reason: str
    job: str | None = None
    is_retried: bool = False


@dataclass(frozen=True)
class Kind:
    """What equal boards have in common: the same model with the same release of its system.

    ``release`` is that of L4T, or of the operating system on machines other than Jetsons.
    """

    model: str
    release: str
    logical_cores: int | None
    simulated: bool

    @property
    def words(self) -> str:
        """E.g. ``Jetson Orin Nano, L4T 36.4.0, 6 cores``."""
        cores = () if self.logical_cores is None else (f"{self.logical_cores} cores",)
        return ", ".join((self.model, self.release, *cores, *(("simulated",) if self.simulated else ())))


@dataclass(frozen=True)
class Device:
    """One device of the fleet. ``kind`` is None, and there are no results, where it was set aside from the start.

    ``set_aside`` is the reason; with ``is_retried`` the sweep still runs, and tries the device again. ``left_out`` are
    the jobs that it could not measure, each with the reason.
    """

    name: str
    tags: tuple[str, ...]
    kind: Kind | None
    set_aside: str | None
    left_out: tuple[str, ...] = ()
    is_retried: bool = False

    @property
    def absence(self) -> str | None:
        """E.g. ``set aside: its token is refused``; None where nothing keeps it from being measured."""
        return None if self.set_aside is None else f"{self.absent_as}: {self.set_aside}"

    @property
    def absent_as(self) -> str:
        """What a device that has a reason in ``set_aside`` is called."""
        return "retried" if self.is_retried else "set aside"


@dataclass(frozen=True)
class Case:
    """What is equal among the figures that are compared: bundle, setting, and the protocol where results differ in it.

    ``conditions`` are in words, e.g. ``threads 2``; empty where all results were measured alike.
    """

    bundle: str
    bundle_id: str
    setting: Setting
    conditions: tuple[str, ...]

    @property
    def words(self) -> tuple[str, ...]:
        """The bundle's name, the setting and the conditions."""
        return (self.bundle, *self.setting.words, *self.conditions)


@dataclass(frozen=True)
class Network:
    """One network of a bundle, and what its record on the host says of its accuracy.

    ``kept`` is within the tolerance; ``agreement`` is enough of the baseline's answers without true labels, and
    ``changed`` is too little; ``not judged`` is by metrics without a tolerance. ``words`` tells it with figures.
    """

    name: str
    is_baseline: bool
    quality: Quality
    words: str


@dataclass(frozen=True)
class Entry:
    """One network on one device; without ``median_ms``, ``reason`` says why there are no times.

    ``rounds_ms`` are the medians round by round. ``energy_mj`` is of one inference, whatever its batch size; where it
    is unknown ``energy_reason`` says why. ``parity_passed`` is None where nothing was replayed. ``power_mode`` and
    ``jetson_clocks`` are what was in force, as far as it is known.
    """

    device: str
    network: str
    state: str
    reason: str | None
    median_ms: float | None = None
    rounds_ms: tuple[float, ...] = ()
    fps: float | None = None
    speedup: float | None = None
    speedup_interval: Interval | None = None
    speed: Speed | None = None
    energy_mj: float | None = None
    energy_interval: Interval | None = None
    energy_reason: str | None = None
    total_peak_bytes: int | None = None
    parity_passed: bool | None = None
    natural: float | None = None
    robust: float | None = None
    power_mode: str | None = None
    jetson_clocks: bool | None = None
    flags: tuple[Flag, ...] = ()
    simulated: bool = False


@dataclass(frozen=True)
class ResultSummary:
    """What is kept of one stored result.

    ``entries`` are of every cell that was asked for or measured, each with its setting. Profiles and attacks, which are
    not timed, have neither entries nor ``networks`` and ``surroundings``.
    """

    device: str
    tags: tuple[str, ...]
    kind: Kind
    is_timed: bool
    bundle: str
    bundle_id: str
    networks: tuple[Network, ...]
    surroundings: Mapping[str, str | None]
    entries: tuple[tuple[Setting, Entry], ...]


@dataclass(frozen=True)
class Block:
    """The matrix of one case: an entry for each of its ``networks`` on each device, rows as ``FleetFacts.devices``."""

    case: Case
    networks: tuple[Network, ...]
    rows: tuple[tuple[Entry, ...], ...]

    def of(self, network: str) -> tuple[Entry, ...]:
        """The entries of one network, device by device."""
        return tuple(entry for row in self.rows for entry in row if entry.network == network)
