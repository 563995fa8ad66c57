"""TensorRT: engines built from ONNX by its own builder, kept in a cache, run through pycuda."""

from __future__ import annotations

import hashlib
import importlib
import time
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional

from gdws_agent.device_info import read_l4t
from gdws_contract.measures import Build
from gdws_contract.rest import Availability

from .base import EngineSpec
from .cuda_context import PrimaryContext
from .engine_cache import EngineCache, Entry, fingerprint
from .errors import BackendUnavailable, BuildFailed
from .gpu import GPU_HINT, find_gpu
from .packages import is_installed, version_of
from .tensorrt_builder import PRECISIONS, BuilderOptions, build_plan, check_release
from .tensorrt_inspect import counts_in_words, precision_in_force
from .tensorrt_runtime import LoadedEngine, TensorRtEngine

_PACKAGES = {
    "tensorrt": "on a Jetson it comes with the l4t images and JetPack, not from PyPI; see docs/jetson.md",
    "pycuda": "the dustynv/l4t-pytorch images have it; elsewhere: pip install pycuda, with the CUDA toolkit at hand",
}


class TensorRtBackend:
    """Builds one engine for each model, precision and batch size. All engines of one backend share one thread."""

    name = "tensorrt"

    def __init__(self) -> None:
        self._primary: Optional[PrimaryContext] = None

    def probe(self) -> Availability:
        """Return availability; packages and device files are looked for, nothing is loaded."""
        problems = [f"{name} is not installed; {hint}" for name, hint in _PACKAGES.items() if not is_installed(name)]
        gpu = find_gpu()
        if gpu is None:
            problems.append(f"no NVIDIA GPU is visible; {GPU_HINT}")
        if problems:
            return Availability(name=self.name, available=False, reason="; ".join(problems))
        return Availability(
            name=self.name,
            available=True,
            version=version_of("tensorrt", "tensorrt-cu12", "tensorrt-cu13"),
            precisions=PRECISIONS,
            detail={"gpu": gpu or ""},
        )

    def build(self, model: bytes, spec: EngineSpec) -> TensorRtEngine:
        """Return an engine of ``model``, from the cache where it is there and whole."""
        trt, cuda = _load("tensorrt"), _load("pycuda.driver")
        check_release(trt)
        if self._primary is None:
            self._primary = PrimaryContext(cuda)
        device = self._primary.retain()
        try:
            made = _Maker(trt, _describe(device), spec).make(model)
            return TensorRtEngine(cuda, self._primary, made.loaded, made.build, spec)
        finally:
            self._primary.release()


class _Made(NamedTuple):
    loaded: LoadedEngine
    build: Build


class _Maker:
    """Makes an engine from a model, through the cache."""

    def __init__(self, trt: Any, gpu: str, spec: EngineSpec) -> None:
        self._trt = trt
        self._spec = spec
        self._options = BuilderOptions()
        self._cache = EngineCache(spec.cache_dir / "tensorrt")
        self._platform = {"tensorrt": trt.__version__, "gpu": gpu, "l4t": read_l4t(Path("/"))}

    def make(self, model: bytes) -> _Made:
        key = fingerprint(self._facts(model))
        entry, problem = self._cache.load(key)
        if entry is not None:
            try:
                return self._made(LoadedEngine(self._trt, entry.content), entry, from_cache=True, notes=[])
            except BuildFailed as error:
                problem = error.message
        notes = [] if problem is None else [f"cache=rebuilt, {problem}"]
        entry = self._build(model)
        loaded = LoadedEngine(self._trt, entry.content)
        unstored = self._cache.store(key, entry)
        if unstored is not None:
            notes.append(f"cache=not kept, {unstored}")
        return self._made(loaded, entry, from_cache=False, notes=notes)

    def _build(self, model: bytes) -> Entry:
        timing_key = fingerprint({"what": "timing cache", **self._platform})
        timings = self._cache.load(timing_key).entry
        began = time.perf_counter()
        plan = build_plan(self._trt, model, self._spec, self._options, b"" if timings is None else timings.content)
        facts = {"build_time_s": time.perf_counter() - began}
        self._cache.store(timing_key, Entry(plan.timing_cache, {}))
        return Entry(plan.engine, facts)

    def _made(self, loaded: LoadedEngine, entry: Entry, *, from_cache: bool, notes: List[str]) -> _Made:
        counts = loaded.precisions()
        build = Build(
            time_s=entry.facts["build_time_s"],
            size_bytes=len(entry.content),
            from_cache=from_cache,
            precision=precision_in_force(self._spec.precision, counts),
            options=[
                *self._options.in_words(self._trt),
                f"profile=batch {self._spec.batch_size} alone",
                "host_memory=page-locked",
                "cuda_graph=0",
                *counts_in_words(counts),
                *notes,
            ],
        )
        return _Made(loaded, build)

    def _facts(self, model: bytes) -> Dict[str, Any]:
        """Return everything that the engine depends on."""
        return {
            "model": hashlib.sha256(model).hexdigest(),
            "backend": TensorRtBackend.name,
            "precision": self._spec.precision,
            "batch_size": self._spec.batch_size,
            "input": self._spec.input.model_dump(),
            "output": self._spec.output.model_dump(),
            "options": self._options.in_words(self._trt),
            **self._platform,
        }


def _load(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except Exception as error:  # also what a broken installation raises: a missing library, an ABI that differs
        package = module.split(".")[0]
        raise BackendUnavailable(f"{package} cannot be loaded: {error}", hint=_PACKAGES[package]) from error


def _describe(device: Any) -> str:
    """Return name and compute capability, e.g. ``Xavier sm_72``."""
    major, minor = device.compute_capability()
    return f"{device.name()} sm_{major}{minor}"
