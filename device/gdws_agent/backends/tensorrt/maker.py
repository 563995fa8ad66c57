"""From a model to a TensorRT engine that is ready to run, through the cache."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, NamedTuple, Optional

from gdws_agent.backends.base import EngineSpec
from gdws_agent.backends.build_choice import Trial, choose, spread, time_steps
from gdws_agent.backends.cuda.context import PrimaryContext, free_memory
from gdws_agent.backends.cuda.state import read_gpu_state
from gdws_agent.backends.engine_cache import EngineCache, Entry, fingerprint
from gdws_agent.device_info import read_l4t
from gdws_agent.errors import BuildFailed
from gdws_contract.measures import Build, BuildSpread

from .builder import build_plan
from .calibrate import Calibration
from .inspect import (
    counts_in_words,
    layer_devices,
    layer_facts,
    layer_precisions,
    precision_in_force,
    reformats_in_words,
)
from .log import Log
from .options import BuilderOptions, is_dynamic
from .progress import timeout_in_words
from .runtime import LoadedEngine, TensorRtEngine

if TYPE_CHECKING:
    import numpy as np


class _Timings(NamedTuple):
    """How the builder's memory of kernel timings is used, and what is told of it."""

    shared: bool
    words: str


class Maker:
    """Makes one engine. The GPU's primary context is current while it works."""

    def __init__(self, trt: Any, log: Log, cuda: Any, primary: PrimaryContext, device: Any, spec: EngineSpec) -> None:
        self._trt = trt
        self._log = log
        self._cuda = cuda
        self._primary = primary
        self._device = device
        self._spec = spec
        self._options = BuilderOptions.of(spec)
        self._cache = EngineCache(spec.cache_dir / "tensorrt")
        self._platform = {"tensorrt": trt.__version__, "gpu": _describe(device), "l4t": read_l4t(Path("/"))}
        self._state = read_gpu_state(spec.power_mode)
        # Several builds with one timing cache would all choose the kernels of the first.
        self._timings = (
            _Timings(True, "timing_cache=shared by all builds")
            if spec.options.builds == 1
            else _Timings(False, "timing_cache=fresh for each build")
        )

    def make(self, model: bytes) -> TensorRtEngine:
        """Return the engine of ``model``: the cached one, or the only or median one of those built now."""
        key = fingerprint(self._facts(model))
        entry, problem = self._cache.load(key)
        if entry is not None:
            try:
                return self._open(entry, from_cache=True)
            except BuildFailed as error:
                problem = error.message
        notes = [] if problem is None else [f"cache=rebuilt, {problem}"]
        entry = self._build_median(model)
        unstored = self._cache.store(key, entry)
        if unstored is not None:
            notes.append(f"cache=not kept, {unstored}")
        return self._open(entry, from_cache=False, notes=notes)

    def time(self, engine: TensorRtEngine) -> float:
        """Return the median latency of one engine's own steps, in milliseconds; no other may run meanwhile."""
        return time_steps(engine.bind(_trial_inputs(self._spec)))

    # -- building -------------------------------------------------------------------------------------------

    def _build_median(self, model: bytes) -> Entry:
        """Build as often as asked and return the engine of median latency, with the spread of all."""
        if self._spec.options.builds == 1:
            return self._build(model)
        entries = [self._build(model) for _ in range(self._spec.options.builds)]
        trials = [Trial(entry.facts["build_time_s"], self._try(entry)) for entry in entries]
        kept = entries[choose(trials)]
        return Entry(kept.content, {**kept.facts, "spread": spread(trials).model_dump()})

    def _try(self, entry: Entry) -> float:
        with self._open(entry, from_cache=False) as engine:
            return self.time(engine)

    def _build(self, model: bytes) -> Entry:
        timing_key = fingerprint({"what": "timing cache", **self._platform, **self._state.facts()})
        timings = self._cache.load(timing_key).entry if self._timings.shared else None
        table_key = fingerprint(self._calibration_facts(model))
        calibration = self._calibration(table_key)
        began = time.perf_counter()
        plan = build_plan(
            self._trt,
            self._log,
            model,
            self._spec,
            timing_cache=b"" if timings is None else timings.content,
            calibration=calibration,
            free_memory=lambda: free_memory(self._cuda, self._device),
        )
        build_time_s = time.perf_counter() - began
        if self._timings.shared:
            self._cache.store(timing_key, Entry(plan.timing_cache, {}))
        if calibration is not None and calibration.table:
            self._cache.store(table_key, Entry(calibration.table, {}))
        return Entry(plan.engine, {"build_time_s": build_time_s, "notes": plan.notes})

    def _calibration(self, table_key: str) -> Optional[Calibration]:
        inputs = self._spec.calibration
        if self._spec.precision != "int8" or inputs is None or not len(inputs):
            return None
        expected = (*self._spec.input.shape,)
        if inputs.shape[1:] != expected or inputs.dtype != self._spec.input.dtype:
            raise BuildFailed(
                f"calibration inputs are {inputs.dtype} {inputs.shape[1:]}, "
                f"the model takes {self._spec.input.dtype} {expected}"
            )
        table = self._cache.load(table_key).entry
        return Calibration(self._cuda, inputs, b"" if table is None else table.content)

    # -- what it depends on -----------------------------------------------------------------------------------

    def _facts(self, model: bytes) -> Dict[str, Any]:
        """Return everything that the engine depends on."""
        return {
            "model": hashlib.sha256(model).hexdigest(),
            "backend": "tensorrt",
            "precision": self._spec.precision,
            "calibration": _digest(self._spec.calibration) if self._spec.precision == "int8" else None,
            "input": self._spec.input.model_dump(),
            "outputs": [output.model_dump() for output in self._spec.outputs],
            "options": self._options.in_words(self._trt),
            "builds": self._spec.options.builds,
            **self._platform,
            **self._state.facts(),
        }

    def _calibration_facts(self, model: bytes) -> Dict[str, Any]:
        """Return what a calibration table depends on: it serves every batch size and power mode."""
        return {
            "what": "calibration table",
            "model": hashlib.sha256(model).hexdigest(),
            "calibration": _digest(self._spec.calibration),
            **self._platform,
        }

    # -- what comes of it -------------------------------------------------------------------------------------

    def _open(self, entry: Entry, *, from_cache: bool, notes: Optional[List[str]] = None) -> TensorRtEngine:
        loaded = LoadedEngine(self._trt, self._log, entry.content, self._spec, self._options.dla_core)
        information = loaded.information()
        counts = layer_precisions(information)
        found = entry.facts.get("spread")
        build = Build(
            time_s=entry.facts["build_time_s"],
            size_bytes=len(entry.content),
            from_cache=from_cache,
            precision=precision_in_force(self._spec.precision, counts),
            options=[
                *self._options.in_words(self._trt),
                timeout_in_words(self._trt, self._spec.options.build_timeout_s),
                f"builds={self._spec.options.builds}",
                self._timings.words,
                "host_memory=page-locked",
                "nvtx_verbosity=none",
                self._primary.wait_in_words,
                *self._state.in_words(),
                *self._profile_in_words(),
                *entry.facts["notes"],
                *counts_in_words(counts),
                *reformats_in_words(information),
                *self._devices_in_words(information),
                *(notes or []),
            ],
            spread=None if found is None else BuildSpread.model_validate(found),
        )
        return TensorRtEngine(self._cuda, self._primary, loaded, build, self._spec, layer_facts(information))

    def _profile_in_words(self) -> List[str]:
        if self._spec.options.batch_profile == "all" and not is_dynamic(self._spec):
            return ["batch_profile=each, for a DLA runs one batch size"]
        return []

    def _devices_in_words(self, information: str) -> List[str]:
        if self._options.dla_core is None:
            return []
        devices = layer_devices(information)
        return [f"dla_parts={devices.dla_parts}", f"gpu_layers={devices.gpu_layers}"]


def _describe(device: Any) -> str:
    """Return name and compute capability, e.g. ``Xavier sm_72``."""
    major, minor = device.compute_capability()
    return f"{device.name()} sm_{major}{minor}"


def _digest(inputs: Optional[np.ndarray]) -> Optional[str]:
    """Return the SHA-256 of ``inputs`` with their type and shape."""
    if inputs is None:
        return None
    digest = hashlib.sha256(f"{inputs.dtype} {inputs.shape}".encode())
    digest.update(inputs.tobytes())
    return digest.hexdigest()


def _trial_inputs(spec: EngineSpec) -> np.ndarray:
    """Return one batch to time engines on: real inputs where there are any, for what a GPU draws depends on them."""
    import numpy as np

    if spec.calibration is None or not len(spec.calibration):
        return np.zeros((spec.batch_size, *spec.input.shape), spec.input.dtype)
    return np.ascontiguousarray(spec.calibration.take(range(spec.batch_size), axis=0, mode="wrap"))
