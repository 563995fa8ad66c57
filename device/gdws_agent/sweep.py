"""One group of cells, from bundle to results: load, build, parity, warm-up, interleaved rounds.

The variants of a group share backend, precision and batch size. All their engines live side by side, and in
each round every variant gets one window, in an order that balances what ran before it. So a slow change of the
machine meets each variant alike, and cancels in their ratios.

What goes wrong with one cell ends that cell, with a typed error, and the others go on.
"""

from __future__ import annotations

import logging
import math
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple

import numpy as np
import psutil

from gdws_contract.archive import Bundle
from gdws_contract.errors import ContractError
from gdws_contract.rest import Cell, CellKey

from .backends.base import Backend, Engine, EngineSpec, Step
from .backends.errors import BackendError, OutOfMemory
from .environment import Activity, activity, describe_environment, snapshot, usable_cores
from .messages import CellEvent, Event, StageEvent, WorkOrder
from .parity import Logits, Rule, compare, make_batch, replay
from .power.base import Sensor
from .power.base import Window as PowerWindow
from .power.recording import Recording
from .results import Findings, failed_cell, measured_cell, parity_failed_cell
from .rounds import round_orders
from .timestamps import utc_now
from .verification import Record, VerificationSet, read_adversarial, read_natural, read_verification
from .windows import SETTLE_INFERENCES, no_garbage_collection, run_window, settle, warm_up

_LOG = logging.getLogger(__name__)

#: A batch of inputs may take at most this share of the free memory: activations take more than inputs.
_INPUT_MEMORY_SHARE = 0.25
#: Long replays tell how far they are at most this often.
_PROGRESS_INTERVAL_S = 1.0


class _Candidate:
    """A variant on its way: what is known of it, and the engine that is alive for it."""

    def __init__(self, key: CellKey, environment: Dict[str, Any]) -> None:
        self.findings = Findings(key, utc_now(), environment)
        self.ended = False
        self._engine: Optional[Engine] = None
        self._step: Optional[Step] = None

    @property
    def variant(self) -> str:
        return self.findings.key.variant

    @property
    def engine(self) -> Engine:
        assert self._engine is not None
        return self._engine

    @property
    def step(self) -> Step:
        assert self._step is not None
        return self._step

    def take(self, engine: Engine) -> None:
        """Own ``engine`` from now on."""
        self._engine = engine.__enter__()

    def bind(self, inputs: np.ndarray) -> None:
        """Make the step that will be timed."""
        self._step = self.engine.bind(inputs)

    def free(self) -> None:
        """Let go of step and engine, so that the memory is there for the others."""
        engine, self._engine, self._step = self._engine, None, None
        if engine is not None:
            try:
                engine.__exit__(None, None, None)
            except Exception:  # what was measured is good, and the others go on
                _LOG.exception("the engine of %s could not be freed", self.variant)


class Sweep:
    """Measures one group. ``emit`` is told each stage as it begins and each cell as it ends."""

    def __init__(
        self, order: WorkOrder, bundle: Bundle, backend: Backend, sensor: Sensor, emit: Callable[[Event], None]
    ) -> None:
        self._order = order
        self._bundle = bundle
        self._backend = backend
        self._sensor = sensor
        self._emit = emit
        self._threads = order.protocol.threads or usable_cores()

    def run(self) -> None:
        """Measure the group; every cell of it ends in exactly one :class:`CellEvent`."""
        environment = self._environment()
        candidates = [_Candidate(self._order.cell(name), environment) for name in self._order.variants]
        with ExitStack() as stack:
            for candidate in candidates:
                stack.callback(candidate.free)
            try:
                verification, batch = self._load()
            except Exception as error:
                for candidate in candidates:
                    self._fail(candidate, error)
                return
            self._each(candidates, partial(self._build, verification.inputs))
            self._each(candidates, partial(self._check_parity, verification))
            self._each(candidates, partial(self._warm_up, batch))
            candidates = [candidate for candidate in candidates if not candidate.ended]
            if candidates:
                self._report(candidates, *self._measure(candidates))

    # -- the stages, in order -------------------------------------------------------------------------------

    def _load(self) -> Tuple[VerificationSet, np.ndarray]:
        """Return the verification set, and the batch of its inputs that every variant is timed on."""
        self._emit(StageEvent(stage="load"))
        self._check_memory()
        verification = read_verification(self._bundle)
        return verification, make_batch(verification.inputs, self._order.batch_size)

    def _build(self, calibration: np.ndarray, candidate: _Candidate) -> None:
        self._emit(StageEvent(stage="build", variant=candidate.variant))
        candidate.findings.started_at = utc_now()
        manifest = self._bundle.manifest
        spec = EngineSpec(
            precision=self._order.precision,
            batch_size=self._order.batch_size,
            input=manifest.input,
            output=manifest.output,
            threads=self._threads,
            cache_dir=Path(self._order.cache_dir),
            options=self._order.engine,
            batch_sizes=tuple(self._order.batch_sizes) or (self._order.batch_size,),
            calibration=calibration,
        )
        candidate.take(self._backend.build(self._bundle.read(manifest.variant(candidate.variant).onnx), spec))
        candidate.findings.build = candidate.engine.build
        candidate.findings.scope = candidate.engine.scope

    def _check_parity(self, verification: VerificationSet, candidate: _Candidate) -> None:
        self._emit(StageEvent(stage="parity", variant=candidate.variant))
        natural = self._replay(candidate, read_natural(self._bundle, verification, candidate.variant))
        recorded = read_adversarial(self._bundle, candidate.variant)
        adversarial = None if recorded is None else self._replay(candidate, recorded)
        rule = Rule.of(self._order.precision, self._order.protocol.parity_tolerance)
        parity = compare(verification.labels, natural, adversarial, rule)
        candidate.findings.parity = parity
        if not parity.passed:
            self._end(candidate, parity_failed_cell(candidate.findings, utc_now()))

    def _warm_up(self, batch: np.ndarray, candidate: _Candidate) -> None:
        protocol = self._order.protocol

        def tell(median_ms: float) -> None:
            self._emit(StageEvent(stage="warm-up", variant=candidate.variant, figures={"median_ms": median_ms}))

        self._emit(StageEvent(stage="warm-up", variant=candidate.variant))
        candidate.bind(batch)
        candidate.findings.warm_up = warm_up(
            candidate.step, min_ms=protocol.warmup_ms, max_ms=protocol.warmup_max_ms, on_window=tell
        )

    def _measure(self, candidates: List[_Candidate]) -> Tuple[Recording, Activity]:
        """Run the rounds; return the power recorded and what else the machine did meanwhile."""
        protocol = self._order.protocol
        recording = Recording(self._sensor)
        before = snapshot()
        with recording, no_garbage_collection():
            for number, places in enumerate(round_orders(len(candidates), protocol.rounds, protocol.seed), start=1):
                self._each([candidates[place] for place in places], partial(self._take_turn, number))
        return recording, activity(before, snapshot(), psutil.cpu_count() or 1)

    def _take_turn(self, number: int, candidate: _Candidate) -> None:
        """Measure one window. Everything that is not an inference is done before it."""
        protocol = self._order.protocol
        windows = candidate.findings.windows
        figures = {"median_ms": windows[-1].median_ms} if windows else {}
        self._emit(
            StageEvent(
                stage="measure", variant=candidate.variant, round=number, rounds=protocol.rounds, figures=figures
            )
        )
        settle(candidate.step)
        windows.append(
            run_window(
                candidate.step,
                min_ms=protocol.min_duration_ms / protocol.rounds,
                min_count=math.ceil(protocol.min_iterations / protocol.rounds),
            )
        )

    def _report(self, candidates: List[_Candidate], recording: Recording, meanwhile: Activity) -> None:
        name = self._bundle.manifest.baseline
        baseline = next((each.findings for each in candidates if each.variant == name and not each.ended), None)

        def report(candidate: _Candidate) -> None:
            findings = candidate.findings
            account = recording.account(
                [PowerWindow(window.start_s, window.end_s) for window in findings.windows],
                inferences=sum(len(window.samples_ns) for window in findings.windows),
                batch_size=self._order.batch_size,
            )
            self._end(candidate, measured_cell(findings, baseline, name, account, meanwhile, utc_now()))

        self._each(candidates, report)

    # -- helpers --------------------------------------------------------------------------------------------

    def _each(self, candidates: Iterable[_Candidate], stage: Callable[[_Candidate], None]) -> None:
        """Take those that have not ended through ``stage``; a failure ends one, not the others."""
        for candidate in candidates:
            if not candidate.ended:
                try:
                    stage(candidate)
                except Exception as error:
                    self._fail(candidate, error)

    def _fail(self, candidate: _Candidate, error: Exception) -> None:
        foreseen = isinstance(error, (BackendError, ContractError))
        _LOG.error("%s: %s", candidate.variant, error, exc_info=None if foreseen else error)
        self._end(candidate, failed_cell(candidate.findings, error, utc_now()))

    def _end(self, candidate: _Candidate, cell: Cell) -> None:
        candidate.ended = True
        candidate.free()
        self._emit(CellEvent(cell=cell))

    def _replay(self, candidate: _Candidate, record: Record) -> Logits:
        """Replay ``record``, telling from time to time how far it is."""
        told = time.monotonic()

        def tell(done: int) -> None:
            nonlocal told
            if time.monotonic() - told >= _PROGRESS_INTERVAL_S:
                told = time.monotonic()
                figures = {"replayed": float(done), "of": float(len(record.inputs))}
                self._emit(StageEvent(stage="parity", variant=candidate.variant, figures=figures))

        return replay(candidate.engine, record, self._order.batch_size, tell)

    def _check_memory(self) -> None:
        """Refuse a batch whose inputs alone would fill the memory, before anything is allocated for it."""
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
        return {
            **describe_environment(),
            "backend_version": self._backend.probe().version,
            "threads": self._threads,
            "order": f"balanced square, seed {self._order.protocol.seed}",
            "discarded_after_switch": SETTLE_INFERENCES,
            "garbage_collector": "off in the rounds",
        }
