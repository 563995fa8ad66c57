"""A device behind an agent as a search asks it: networks are exported, sent, and measured as jobs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from typing import Protocol as Interface

from gdws.bundles.variant import BASELINE, GdwsStep, Variant
from gdws.compression import surgery
from gdws.datasets import Split
from gdws.device.benchmark import benchmark, failure
from gdws.device.client import DeviceClient
from gdws.errors import DeviceError, SettingUnavailable
from gdws.networks.sources import Source
from gdws.pipeline.optimize.energy_errors import energy_ratio_sd, energy_sd
from gdws.pipeline.optimize.forms import Form
from gdws.pipeline.optimize.setting import CONFIRMING_BUILDS, Setting
from gdws.pipeline.optimize.state import State, digest
from gdws.pipeline.optimize.time_left import TimeLeft
from gdws.pipeline.packing import pack
from gdws.planning.search.attribution import attribute
from gdws.planning.search.energy import of_energy
from gdws.planning.search.evidence import Measurement, Profile, Timing
from gdws.planning.search.options import Offer
from gdws.planning.search.space import Choice, key_of
from gdws.planning.search.steadiness import surest
from gdws.results.stored import load_result
from gdws_contract.archive import open_bundle
from gdws_contract.findings.intervals import median_ratio
from gdws_contract.profiles import ProfileOptions
from gdws_contract.rest import BenchmarkRequest, BenchmarkResult, Cell, Job, Protocol

#: Doubts that say that the device was not the same throughout: such a measurement is thrown away.
_DISTURBED = ("throttled", "clocks-raised", "power-mode-changed", "clocks-not-restored")
#: So often is a job sent again whose measurement was thrown away, or which was cancelled.
_TRIES = 3
_Z = 1.96
#: Where a speed-up has no interval.
_UNKNOWN_SD = 0.05
#: How much longer the last measurement is.
_THOROUGH = 3
_UNPROFILED = "profile-unsupported"
#: Problem codes of cells whose power mode or clocks the device did not set.
_NOT_SET = frozenset(
    {"clocks-unavailable", "clocks-failed", "clocks-not-held", "power-mode-unknown", "power-mode-needs-reboot"}
)

#: Makes the networks of a job, the dense one first.
_Make = Callable[[], Sequence[Variant]]


class _Problem(NamedTuple):
    """Why a result is of no use; one that is passing may not come again."""

    error: DeviceError
    is_passing: bool


class Maker(Interface):
    """Makes the networks of forms, and says what they depend on."""

    def variant(self, form: Form, name: str) -> Variant:
        """The network of a form."""

    def identity(self) -> list[Any]:
        """What its weights depend on, as JSON values."""


@dataclass(frozen=True)
class FormTimes:
    """Networks in several precisions that took turns with the dense one in floating point, which takes ``dense``.

    All are in milliseconds, or in millijoules where energy is asked for.
    """

    timings: dict[Form, Timing]
    dense: float
    doubts: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class AgentMeter:
    """Measures choices of ``offer`` on ``device``.

    ``fingerprint`` names the device with its setting. ``images`` are what each engine replays before it is timed.
    Results stay in ``state``, and a job that was sent before this process was killed is found again on the device. With
    ``of_energy`` a job is sent again if a reading of the power came too late for one of its networks.
    """

    device: DeviceClient
    fingerprint: str
    source: Source
    offer: Offer
    setting: Setting
    images: Split
    state: State
    lease_id: str | None = None
    on_job: Callable[[Job], None] | None = None
    time_left: TimeLeft = field(default_factory=TimeLeft)
    of_energy: bool = False

    def time(self, choices: Sequence[Choice], *, thorough: bool = False, repeat: int = 0) -> Measurement:
        """Time networks in turns with the dense one; see :class:`gdws.planning.search.evidence.Meter`.

        Raises :class:`~gdws.errors.DeviceError` if the device cannot serve, or does not keep its clocks.
        """
        result = self._timed(choices, lambda: self._unfitted(choices), thorough=thorough, repeat=repeat)
        names = {self._name(choice): choice for choice in choices}
        timings, doubts = self._timings(names, result, thorough=thorough)
        dense = self._dense(result)
        assert dense.latency is not None  # or it would have been an error
        return Measurement(
            tuple(timings.values()),
            dense.latency.median_ms,
            _energy_mj(dense),
            dense.memory,
            doubts=doubts,
            dense_sd=energy_sd(dense),
            dense_tail_ms=_tail_ms(dense),
            idle_w=None if dense.power is None else dense.power.idle_w,
        )

    def time_forms(self, forms: Sequence[Form], maker: Maker, *, energy: bool = False) -> FormTimes:
        """Time networks as they are delivered, thoroughly. Those that the runtime cannot run are told in the doubts.

        Raises as :meth:`time`.
        """
        space = self.offer.space
        named = {form.name(space): form for form in forms}

        def make() -> list[Variant]:
            return [Variant(BASELINE, self.source.module), *(maker.variant(form, name) for name, form in named.items())]

        result = self._timed([maker.identity(), list(named)], make, thorough=True)
        found, doubts = self._timings({name: form.choice for name, form in named.items()}, result, thorough=True)
        dense = self._dense(result)
        assert dense.latency is not None  # or it would have been an error
        timings = {named[name]: timing for name, timing in found.items()}
        cost = _energy_mj(dense) if energy else dense.latency.median_ms
        if cost is None:
            raise DeviceError("the device measured no energy of the dense network", url=self.device.url)
        if energy:
            timings = {form: of_energy(each, cost) for form, each in timings.items()}
        return FormTimes(timings, cost, tuple(doubts.values()))

    def _timed(self, what: Any, make: _Make, *, thorough: bool, repeat: int = 0) -> BenchmarkResult:
        """The times of networks, from a device that did not change meanwhile.

        A thorough measurement decides, so it is taken again where it is not sure enough.
        """
        request = self._time_request(thorough)

        def take(repeat: int) -> BenchmarkResult:
            return self._result("time", what, make, thorough, request, repeat)

        return surest(take, _margin) if thorough else take(repeat)

    def profile(self, choices: Sequence[Choice], *, repeat: int = 0) -> list[Profile] | None:
        """Profiles of networks; see :class:`gdws.planning.search.evidence.Meter`."""
        converted = [choice for choice in choices if choice != self.offer.space.dense]
        fields = {
            "profile": ProfileOptions(iterations=self.setting.profile_iterations),
            "protocol": Protocol(threads=self.setting.threads),
            "engine": self.setting.engine,
        }
        result = self._result("profile", converted, lambda: self._unfitted(converted), False, fields, repeat)
        cells = {cell.key.variant: cell for cell in result.job.cells}
        if any(cell.error is not None and cell.error.code == _UNPROFILED for cell in cells.values()):
            return None
        found = []
        for choice in choices:
            cell = cells.get(self._name(choice))
            if cell is not None and cell.profile is not None:
                found.append(attribute(self.offer.space, choice, cell.profile.layers))
        return found

    def _result(
        self, kind: str, what: Any, make: _Make, thorough: bool, fields: dict[str, Any], repeat: int = 0
    ) -> BenchmarkResult:
        """The result of a job with the networks that ``make`` gives, from the state or else from the device.

        ``what`` names them in JSON values. A job that came to nothing in an earlier run is sent again, one of this run
        up to :data:`_TRIES` times where that may help.
        """
        key = [self.fingerprint, self.offer.space.digest, self.source.provenance, what, kind, thorough, repeat]
        key += ["idle"] if kind == "time" and dict(self.setting.protocol).get("idle_ms") else []
        number, tries = -1, 0
        while True:
            number += 1
            path = self.state.path(kind, [*key, number])
            result = load_result(path) if path.exists() else None
            is_new = result is None or result.partial
            if result is None or result.partial:
                with self.time_left.step("job"):
                    result = self._run(what, make, fields, path, digest([*key, number]))
            problem = self._problem(result)
            if problem is None:
                if not is_new:
                    self.time_left.known("job")
                if kind == "time":  # the profile came before
                    self._bundle_path(what).unlink(missing_ok=True)
                return result
            tries += is_new
            if is_new and (tries == _TRIES or not problem.is_passing):
                raise problem.error

    def _problem(self, result: BenchmarkResult) -> _Problem | None:
        """Why a result is of no use; None if it is."""
        url = self.device.url
        if result.job.state == "failed":
            return _Problem(failure(result, url) or DeviceError("the job failed", url=url), is_passing=False)
        refused = [cell.error for cell in result.job.cells if cell.error is not None and cell.error.code in _NOT_SET]
        if refused:
            what = refused[0].detail or refused[0].title
            return _Problem(SettingUnavailable(what, url=url, hint=refused[0].hint), is_passing=False)
        if result.job.state != "done":
            what = f"the job was cancelled {_TRIES} times on the device"
            return _Problem(DeviceError(what, url=url, hint="run the same command again to resume"), is_passing=True)
        if _is_disturbed(result):
            what = f"the device changed its clocks or power mode in each of {_TRIES} measurements"
            hint = "let it cool, fix its clocks (--jetson-clocks), and run the same command again to resume"
            return _Problem(SettingUnavailable(what, url=url, hint=hint), is_passing=True)
        if self.of_energy and _lacks_energy(result):
            what = f"the device measured no energy of some networks in each of {_TRIES} measurements"
            return _Problem(DeviceError(what, url=url, hint="measure longer: --min-duration 20"), is_passing=True)
        return None

    def _run(self, what: Any, make: _Make, fields: dict[str, Any], path: Path, key: str) -> BenchmarkResult:
        """Send the job, or find it again by its ``key``, and follow it to its end."""
        bundle = self._bundle_path(what)
        if not bundle.exists():
            pack(bundle, self.source, make(), self.images, "timing only", None)
        with open_bundle(bundle) as opened:
            model_id = opened.id
        setting = self.setting
        request = BenchmarkRequest(
            model_id=model_id,
            backends=[setting.backend],
            precisions=[setting.precision],
            batch_sizes=[setting.batch_size],
            power_modes=None if setting.power_mode is None else [setting.power_mode],
            jetson_clocks=setting.jetson_clocks,
            label="gdws optimize",
            priority=setting.priority,
            limits=setting.limits,
            **fields,
        )
        return benchmark(
            self.device, bundle, request, out=path, on_progress=self.on_job, lease_id=self.lease_id, key=key
        )

    def _time_request(self, thorough: bool) -> dict[str, Any]:
        protocol = Protocol(**{"threads": self.setting.threads, **dict(self.setting.protocol)})
        if not thorough:
            return {"engine": self.setting.engine, "protocol": protocol}
        longer = {
            "min_duration_ms": min(_THOROUGH * protocol.min_duration_ms, 3_600_000),
            "rounds": min(2 * protocol.rounds, 1_000),
        }
        builds = max(self.setting.engine.builds, CONFIRMING_BUILDS)
        return {
            "engine": self.setting.engine.model_copy(update={"builds": builds}),
            "protocol": protocol.model_copy(update=longer),
        }

    def _bundle_path(self, what: Any) -> Path:
        return self.state.path("networks", [self.offer.space.digest, self.source.provenance, what], ".gdws")

    def _unfitted(self, choices: Sequence[Choice]) -> list[Variant]:
        """The networks with factors from weights alone: they take the same time as fitted ones."""
        variants = [Variant(BASELINE, self.source.module)]
        for choice in choices:
            plan = self.offer.plan(choice, fitted=False)
            module = surgery.apply(plan, self.offer.calibration.model)
            variants.append(Variant(self._name(choice), module, (GdwsStep(plan),)))
        return variants

    def _name(self, choice: Choice) -> str:
        return BASELINE if choice == self.offer.space.dense else f"plan-{key_of(choice)}"

    def _dense(self, result: BenchmarkResult) -> Cell:
        dense = next((cell for cell in result.job.cells if cell.key.variant == BASELINE), None)
        if dense is None or dense.latency is None:
            raise DeviceError(f"the dense network could not be timed: {_reason(dense)}", url=self.device.url)
        return dense

    def _timings(
        self, names: Mapping[str, Choice], result: BenchmarkResult, *, thorough: bool
    ) -> tuple[dict[str, Timing], dict[str, str]]:
        """The timing of each network by its name, and sentences of doubt by their kind.

        Only a ``thorough`` measurement decides on what is delivered, by the interval that every result has; the others
        teach, by the median of the rounds, so that a few rounds that were disturbed mislead no one.
        """
        cells = {cell.key.variant: cell for cell in result.job.cells}
        dense = self._dense(result)
        timings, doubts = {}, {flag.code: f"{BASELINE}: {flag.detail}" for flag in dense.flags}
        for name, choice in names.items():
            cell = cells.get(name)
            measured = None if cell is None else _ratio(cell, dense, thorough=thorough)
            if cell is None or measured is None:
                doubts[name] = f"{name} could not be timed: {_reason(cell)}"
                continue
            ratio, sd = measured
            timings[name] = Timing(
                choice,
                ratio,
                sd,
                _energy_mj(cell),
                cell.memory,
                energy_sd=energy_sd(cell),
                energy_ratio_sd=energy_ratio_sd(cell, dense),
                tail_ms=_tail_ms(cell),
            )
        return timings, doubts


def _ratio(cell: Cell, dense: Cell, *, thorough: bool) -> tuple[float, float] | None:
    """The latency of a cell over that of the dense network, and its relative standard error; None if not paired."""
    if cell.speedup is None or not cell.speedup.ratio:
        return None
    if not thorough and len(cell.rounds) == len(dense.rounds):
        found = median_ratio([each.median_ms for each in cell.rounds], [each.median_ms for each in dense.rounds])
        if found is not None:
            return found.value, math.log(found.high / found.low) / (2 * _Z)
    interval = cell.speedup.interval
    sd = _UNKNOWN_SD
    if interval is not None and interval.low > 0:
        sd = math.log(interval.high / interval.low) / (2 * _Z)
    return 1 / cell.speedup.ratio, sd


def _margin(result: BenchmarkResult) -> float:
    """How far the widest interval of a speed-up reaches to each side, as a share; infinitely if it reaches 0."""
    intervals = [cell.speedup.interval for cell in result.job.cells if cell.speedup is not None]
    known = [each for each in intervals if each is not None]
    return max((math.log(each.high / each.low) / 2 if each.low > 0 else math.inf for each in known), default=0.0)


def _is_disturbed(result: BenchmarkResult) -> bool:
    """Whether the device changed its clocks or mode, by its own word or from cell to cell."""
    timed = [cell for cell in result.job.cells if cell.latency is not None]
    states = {(cell.power_mode, cell.jetson_clocks) for cell in timed}
    return len(states) > 1 or any(flag.code in _DISTURBED for cell in timed for flag in cell.flags)


def _lacks_energy(result: BenchmarkResult) -> bool:
    """Whether some networks have an energy and others, for want of readings, have none."""
    known = [_energy_mj(cell) is not None for cell in result.job.cells if cell.latency is not None]
    return any(known) and not all(known)


def _energy_mj(cell: Cell) -> float | None:
    return None if cell.power is None else cell.power.energy_per_inference_mj


def _tail_ms(cell: Cell) -> float | None:
    latency = cell.latency
    return None if latency is None else latency.max_ms if latency.p99_ms is None else latency.p99_ms


def _reason(cell: Cell | None) -> str:
    if cell is None:
        return "the job has no cell of it"
    if cell.error is not None:
        return cell.error.detail or cell.error.title
    if cell.parity is not None and not cell.parity.passed:
        return "; ".join(cell.parity.reasons)
    return "it was not timed together with the dense network"
