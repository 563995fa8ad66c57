"""One group of cells, from bundle to results: load, rest, build, parity, warm-up, rounds, pacing, endurance.

The variants of a group share power mode, backend, precision and batch size. All their engines live side by side,
and in each round every variant gets one window, in an order that balances what ran before it. So a slow change of
the machine meets each variant alike, and cancels in their ratios. Between the windows the machine's temperatures
and clocks are read. An order for a profile has each variant's layers timed instead of all that follows the warm-up,
one for an attack has each engine attacked after its parity, one by one.

What goes wrong with one cell ends that cell, with a typed error, and the others go on. Where the machine is at fault,
the sweep ends without a word about the cells that have not ended.
"""

from __future__ import annotations

import logging
import math
import statistics
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple

import numpy as np
import psutil

from gdws_agent.backends.base import Backend, EngineSpec
from gdws_agent.errors import BackendError, OutOfMemory
from gdws_agent.machine import MachineShort, is_machine_fault
from gdws_agent.power.base import Sensor
from gdws_agent.power.base import Window as PowerWindow
from gdws_agent.power.recording import Recording
from gdws_agent.power.thermal import Conditions, Gauges
from gdws_agent.timestamps import utc_now
from gdws_contract.archive import Bundle
from gdws_contract.attacks import AttackOptions
from gdws_contract.errors import ContractError
from gdws_contract.measures import Flag
from gdws_contract.pacing import Pacing
from gdws_contract.profiles import ProfileOptions
from gdws_contract.rest import Cell

from . import device_times
from .attack_stage import attack_candidate, replays_of
from .candidate import Candidate
from .environment import Activity, activity, describe_environment, describe_rounds, snapshot, usable_cores
from .memory import PeakGauge, Tally, return_freed_memory
from .messages import CellEvent, Event, StageEvent, WorkOrder
from .paced import paced_flags
from .pacing import run_pacing
from .parity import Expected, Replayed, Rule, compare, doubts, make_batch, replay
from .profiling import layer_profile
from .results import Findings, failed_cell, measured_cell, parity_failed_cell, problem_with, profiled_cell
from .rounds import round_orders
from .series import series_of
from .sustained import run_sustained, summarise_sustained
from .verification import Record, VerificationSet, read_adversarial, read_natural, read_verification
from .windows import Window, no_garbage_collection, run_window, settle, warm_up

_LOG = logging.getLogger(__name__)

#: A batch of inputs may take at most this share of the free memory: activations take more than inputs.
_INPUT_MEMORY_SHARE = 0.25
#: Minimum interval between progress reports of long replays.
_PROGRESS_INTERVAL_S = 1.0


class Sweep:
    """Measures one group. ``emit`` is called with each stage as it begins and each cell as it ends."""

    def __init__(
        self,
        order: WorkOrder,
        bundle: Bundle,
        backend: Backend,
        sensor: Sensor,
        emit: Callable[[Event], None],
        gauge: Optional[PeakGauge] = None,
    ) -> None:
        self._order = order
        self._bundle = bundle
        self._backend = backend
        self._emit = emit
        self._recording = Recording(sensor)
        self._gauges = Gauges(also=sensor.conditions)
        self._memory = gauge or PeakGauge()
        self._zero_s = time.time() - time.monotonic()
        self._threads = order.protocol.threads or usable_cores()

    def run(self) -> None:
        """Measure the group; every cell of it ends in exactly one :class:`CellEvent`.

        Raises:
            MachineShort: the machine lacks something; the cells that have not ended are not to blame.
        """
        environment = self._environment()
        base = self._memory.read()
        candidates = [
            Candidate(Findings.begin(self._order, name, environment), Tally(self._memory, base))
            for name in self._order.variants
        ]
        with ExitStack() as stack:
            stack.callback(self._recording.stop)
            for candidate in candidates:
                stack.callback(candidate.free)
            try:
                verification, batch = self._load()
                self._rest()
            except Exception as error:
                for candidate in candidates:
                    self._fail(candidate, error)
                return
            build, check = partial(self._build, verification.inputs), partial(self._check_parity, verification)
            if self._order.attack is not None:
                attack = partial(self._attack, verification, self._order.attack)
                for candidate in candidates:  # they take no turns, so one engine at a time is enough
                    for stage in (build, check, attack):
                        self._each([candidate], stage)
                return
            self._each(candidates, self._counted(build))
            self._each(candidates, self._counted(check))
            self._each(candidates, self._counted(partial(self._warm_up, batch)))
            self._each(candidates, self._tell_memory)
            if self._order.profile is not None:
                self._each(candidates, partial(self._profile, batch, self._order.profile))
            candidates = [candidate for candidate in candidates if not candidate.ended]
            if candidates:
                meanwhile = self._measure(candidates)
                if self._order.pacing is not None:
                    self._each(candidates, partial(self._pace, self._order.pacing))
                if self._order.protocol.sustained_ms > 0:
                    self._each(candidates, self._sustain)
                self._report(candidates, meanwhile)

    # -- the stages, in order -------------------------------------------------------------------------------

    def _load(self) -> Tuple[VerificationSet, np.ndarray]:
        """Return the verification set, and the batch of its inputs that every variant is timed on."""
        self._emit(StageEvent(stage="load"))
        self._check_memory()
        verification = read_verification(self._bundle)
        return verification, make_batch(verification.inputs, self._order.batch_size)

    def _rest(self) -> None:
        """Measure the idle power, if requested."""
        idle_ms = self._order.protocol.idle_ms
        if idle_ms > 0 and self._order.profile is None and self._order.attack is None:
            self._emit(StageEvent(stage="rest"))
            self._recording.start()
            self._recording.rest(idle_ms / 1e3)

    def _build(self, calibration: np.ndarray, candidate: Candidate) -> None:
        self._emit(StageEvent(stage="build", variant=candidate.variant))
        candidate.findings.started_at = utc_now()
        manifest = self._bundle.manifest
        spec = EngineSpec(
            precision=self._precision(candidate),
            batch_size=self._order.batch_size,
            input=manifest.input,
            outputs=tuple(manifest.outputs),
            threads=self._threads,
            cache_dir=Path(self._order.cache_dir),
            options=self._order.engine,
            batch_sizes=tuple(self._order.batch_sizes) or (self._order.batch_size,),
            calibration=calibration,
            power_mode=self._order.power_mode_name,
        )
        candidate.take(self._backend.build(self._network(candidate), spec))
        candidate.findings.build = candidate.engine.build
        candidate.findings.scope = candidate.engine.scope

    def _precision(self, candidate: Candidate) -> str:
        """What the order asks for; a network that is quantised itself computes in INT8 whatever that is.

        So it is measured side by side with those in floating point.
        """
        quantised = self._bundle.manifest.variant(candidate.variant).is_quantised
        return "int8" if quantised else self._order.precision

    def _check_parity(self, verification: VerificationSet, candidate: Candidate) -> None:
        self._emit(StageEvent(stage="parity", variant=candidate.variant))
        natural = self._replay(candidate, read_natural(self._bundle, verification, candidate.variant))
        recorded = read_adversarial(self._bundle, candidate.variant)
        adversarial = None if recorded is None else self._replay(candidate, recorded)
        rule = Rule.of(self._precision(candidate), self._order.protocol.parity_tolerance)
        manifest = self._bundle.manifest
        expected = Expected(manifest.task, manifest.outputs, verification.labels)
        parity = compare(expected, natural, adversarial, rule)
        candidate.findings.parity = parity
        candidate.replays = replays_of(expected, natural, adversarial)
        candidate.findings.flags += doubts(parity)
        if not parity.passed:
            self._end(candidate, parity_failed_cell(candidate.findings, utc_now()))

    def _warm_up(self, batch: np.ndarray, candidate: Candidate) -> None:
        protocol = self._order.protocol

        def tell(median_ms: float) -> None:
            self._emit(StageEvent(stage="warm-up", variant=candidate.variant, figures={"median_ms": median_ms}))

        self._emit(StageEvent(stage="warm-up", variant=candidate.variant))
        candidate.bind(batch)
        candidate.findings.warm_up = warm_up(
            candidate.step, min_ms=protocol.warmup_ms, max_ms=protocol.warmup_max_ms, on_window=tell
        )

    def _counted(self, stage: Callable[[Candidate], None]) -> Callable[[Candidate], None]:
        """Return ``stage`` with the memory that it takes counted as the candidate's."""

        def counted(candidate: Candidate) -> None:
            return_freed_memory()
            with candidate.tally.stage():
                stage(candidate)

        return counted

    def _tell_memory(self, candidate: Candidate) -> None:
        on_device = candidate.engine.capabilities.on_device
        candidate.findings.memory = candidate.tally.memory(on_device, candidate.device_memory())

    def _profile(self, batch: np.ndarray, options: ProfileOptions, candidate: Candidate) -> None:
        """Time the layers of one variant; its cell ends with that."""
        self._emit(StageEvent(stage="profile", variant=candidate.variant))
        profiler = candidate.profiler(self._backend.name)
        times = profiler.profile(batch, options.iterations)
        profile = layer_profile(profiler.profiler, options.iterations, times, self._source_names())
        self._end(candidate, profiled_cell(candidate.findings, profile, utc_now()))

    def _attack(self, verification: VerificationSet, options: AttackOptions, candidate: Candidate) -> None:
        """Attack the engine of one variant; its cell ends with that."""
        self._end(candidate, attack_candidate(candidate, verification, options, self._order, self._emit))

    def _measure(self, candidates: List[Candidate]) -> Activity:
        """Run the rounds with the sensor reading; return what else the machine did meanwhile.

        The sensor reads on: it may be what tells temperatures and clocks.
        """
        protocol = self._order.protocol
        self._recording.start()
        measured_ms = self._measured_ms(candidates)
        before = snapshot()
        with no_garbage_collection():
            for number, places in enumerate(round_orders(len(candidates), protocol.rounds, protocol.seed), start=1):
                turn = partial(self._take_turn, number, measured_ms / protocol.rounds)
                self._each([candidates[place] for place in places], turn)
        return activity(before, snapshot(), psutil.cpu_count() or 1)

    def _measured_ms(self, candidates: List[Candidate]) -> float:
        """Return how long to measure each variant: what is asked for, or as long as the power sensor needs."""
        protocol = self._order.protocol
        needed_ms = self._recording.needed_s(protocol.rounds) * 1e3
        if needed_ms > protocol.min_duration_ms:
            told = {"min_duration_ms": f"{needed_ms:g} instead of {protocol.min_duration_ms:g}, for the power sensor"}
            for candidate in candidates:
                candidate.findings.environment = {**candidate.findings.environment, **told}
        return max(needed_ms, protocol.min_duration_ms)

    def _take_turn(self, number: int, window_ms: float, candidate: Candidate) -> None:
        """Measure one window. Everything that is not an inference is done before it or after it."""
        protocol, findings = self._order.protocol, candidate.findings
        figures = {"median_ms": findings.windows[-1].median_ms} if findings.windows else {}
        self._emit(
            StageEvent(
                stage="measure", variant=candidate.variant, round=number, rounds=protocol.rounds, figures=figures
            )
        )
        settle(candidate.step)
        findings.windows.append(
            run_window(candidate.step, min_ms=window_ms, min_count=math.ceil(protocol.min_iterations / protocol.rounds))
        )
        read = candidate.device_times
        if read is not None:
            findings.device_times += device_times.time_on_device(candidate.step, read)
        findings.conditions.append(self._gauges.read())

    def _pace(self, pacing: Pacing, candidate: Candidate) -> None:
        """Run one variant's paced inferences. An error here does not affect the earlier measurements."""
        findings = candidate.findings

        def tell(rate_hz: Optional[float]) -> None:
            figures = {} if rate_hz is None else {"rate_hz": rate_hz}
            self._emit(StageEvent(stage="pace", variant=candidate.variant, figures=figures))
            settle(candidate.step)

        try:
            with no_garbage_collection():
                typical_ms = statistics.median(findings.medians_ms)
                outcome = run_pacing(candidate.step, pacing, typical_ms, findings.scope, tell)
        except Exception as error:
            findings.flags.append(Flag(code="paced-failed", detail=problem_with(error).detail or ""))
        else:
            findings.paced, findings.paced_log = outcome
            findings.flags += paced_flags(outcome.result.run)

    def _sustain(self, candidate: Candidate) -> None:
        """Run one variant without a pause. An error here does not affect the earlier measurements."""
        seen: List[Conditions] = [self._gauges.read()]
        self._emit(StageEvent(stage="sustain", variant=candidate.variant))

        def tell(window: Window) -> None:
            seen.append(self._gauges.read())
            figures = {"median_ms": window.median_ms}
            self._emit(StageEvent(stage="sustain", variant=candidate.variant, figures=figures))

        try:
            with no_garbage_collection():
                windows = run_sustained(candidate.step, self._order.protocol.sustained_ms, tell)
        except Exception as error:
            candidate.findings.flags.append(Flag(code="sustained-failed", detail=problem_with(error).detail or ""))
        else:
            candidate.findings.sustained = summarise_sustained(windows, self._order.batch_size, seen)

    def _report(self, candidates: List[Candidate], meanwhile: Activity) -> None:
        self._recording.stop()
        name = self._bundle.manifest.baseline
        baseline = next((each.findings for each in candidates if each.variant == name and not each.ended), None)

        def report(candidate: Candidate) -> None:
            findings = candidate.findings
            account = self._recording.account(
                [PowerWindow(window.start_s, window.end_s) for window in findings.windows],
                inferences=sum(len(window.samples_ns) for window in findings.windows),
                batch_size=self._order.batch_size,
            )
            if self._order.series is not None:
                findings.series = series_of(findings, self._recording.readings(), self._order.series, self._zero_s)
            self._end(candidate, measured_cell(findings, baseline, name, account, meanwhile, utc_now()))

        self._each(candidates, report)

    def _source_names(self) -> List[str]:
        """Return the layers of the source network; the converted variants list them, also for the dense one."""
        variants = self._bundle.manifest.variants
        return list(dict.fromkeys(layer.name for variant in variants for layer in variant.layers))

    # -- helpers --------------------------------------------------------------------------------------------

    def _each(self, candidates: Iterable[Candidate], stage: Callable[[Candidate], None]) -> None:
        """Take those that have not ended through ``stage``; a failure ends one, not the others."""
        for candidate in candidates:
            if not candidate.ended:
                try:
                    stage(candidate)
                except Exception as error:
                    self._fail(candidate, error)

    def _fail(self, candidate: Candidate, error: Exception) -> None:
        """End the cell of ``candidate`` with ``error``; raises MachineShort where that is not its fault."""
        if is_machine_fault(error) and is_machine_fault(error, quotable=self._network(candidate)):
            raise MachineShort(f"{candidate.variant}: {error}") from error
        foreseen = isinstance(error, (BackendError, ContractError))
        _LOG.error("%s: %s", candidate.variant, error, exc_info=None if foreseen else error)
        self._end(candidate, failed_cell(candidate.findings, error, utc_now()))

    def _network(self, candidate: Candidate) -> bytes:
        return self._bundle.read(self._bundle.manifest.variant(candidate.variant).onnx)

    def _end(self, candidate: Candidate, cell: Cell) -> None:
        candidate.ended = True
        candidate.free()
        self._emit(CellEvent(cell=cell))

    def _replay(self, candidate: Candidate, record: Record) -> Replayed:
        """Replay ``record``, reporting progress from time to time."""
        told = time.monotonic()

        def tell(done: int) -> None:
            nonlocal told
            if time.monotonic() - told >= _PROGRESS_INTERVAL_S:
                told = time.monotonic()
                figures = {"replayed": float(done), "of": float(len(record.inputs))}
                self._emit(StageEvent(stage="parity", variant=candidate.variant, figures=figures))

        return replay(candidate.engine, record, self._order.batch_size, tell)

    def _check_memory(self) -> None:
        """Reject a batch whose inputs alone would fill the memory, before allocating anything."""
        spec = self._bundle.manifest.input
        needed = self._order.batch_size * math.prod(spec.shape) * np.dtype(spec.dtype).itemsize
        available = psutil.virtual_memory().available
        if needed > _INPUT_MEMORY_SHARE * available:
            raise OutOfMemory(
                f"{self._order.batch_size} inputs take {needed / 2**20:.0f} MiB, and {available / 2**20:.0f} MiB "
                "of memory are free for inputs, activations and outputs",
                hint="use a smaller batch",
            )

    def _environment(self) -> Dict[str, Any]:
        """Return what is the same for every cell of the group."""
        is_timed = self._order.profile is None and self._order.attack is None
        return {
            **describe_environment(),
            "backend_version": self._backend.probe().version,
            "threads": self._threads,
            **(describe_rounds(self._order.protocol.seed) if is_timed else {}),
        }
