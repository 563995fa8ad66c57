"""ONNX Runtime on an NVIDIA GPU: the CUDA and the TensorRT execution provider, each a backend."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, List, NamedTuple, Optional, Sequence

from gdws_agent.backends.base import Capabilities, EngineSpec
from gdws_agent.backends.cuda.device import spin_while_waiting
from gdws_agent.backends.cuda.presence import GPU_HINT, find_gpu, tensorrt_version
from gdws_agent.backends.cuda.state import GpuState, read_gpu_state
from gdws_agent.backends.engine_cache import MAX_BYTES, fingerprint
from gdws_agent.backends.engine_choices import unused_choices
from gdws_agent.backends.errors import in_one_line, typed
from gdws_agent.backends.packages import has_file, is_installed, version_of
from gdws_agent.backends.quantised import check_quantised
from gdws_agent.device_info import read_l4t
from gdws_agent.errors import BackendUnavailable, BuildFailed, PrecisionUnsupported
from gdws_contract.measures import Build
from gdws_contract.rest import Availability

from .bound import OnnxRuntimeGpuEngine, bound_step
from .cpu import DISTRIBUTIONS
from .profile import count_providers
from .providers import CUDA, TENSORRT, TENSORRT_CHOICES, Settings, cuda_settings, tensorrt_settings
from .session import CPU, check_session, load_runtime, options_in_words, session_options

if TYPE_CHECKING:
    import numpy as np

_HINT = (
    "install a build of onnxruntime with {provider} for this machine: for a Jetson they are in NVIDIA's Jetson Zoo "
    "and the dustynv/onnxruntime images; elsewhere pip install onnxruntime-gpu, without onnxruntime beside it"
)
_LIBRARIES_HINT = (
    "the libraries of CUDA, cuDNN and TensorRT must be those that this onnxruntime was built with; import "
    "onnxruntime and make a session with this provider in a shell, and it prints which one is missing"
)
#: In the words of ONNX Runtime, where a provider's libraries or the GPU are at fault, not the model.
_NOT_STARTED = re.compile(r"Please install|ProviderLibrary|provider option|CUDA driver|no CUDA-capable device")


class _Provided(NamedTuple):
    """What a session is made with, and where its engines are kept, if they are."""

    settings: List[Settings]
    cache: Optional[Path] = None


class OnnxRuntimeCudaBackend:
    """Runs models as they are, in float32, by CUDA and cuDNN."""

    name = "onnxruntime-cuda"
    capabilities = Capabilities(on_device=True)
    provider = CUDA
    precisions: Sequence[str] = ("fp32",)
    choices: Sequence[str] = ()
    _library = "capi/libonnxruntime_providers_cuda.so"

    def probe(self) -> Availability:
        """Return availability; packages, libraries and device files are looked for, nothing is loaded."""
        problem = self._problem()
        if problem is not None:
            return Availability(name=self.name, available=False, reason=problem)
        return Availability(
            name=self.name,
            available=True,
            version=version_of(*DISTRIBUTIONS),
            precisions=list(self.precisions),
            detail={"provider": self.provider, "gpu": find_gpu() or ""},
        )

    def build(self, model: bytes, spec: EngineSpec) -> OnnxRuntimeGpuEngine:
        """Return a session of ``model`` whose nodes run on the provider, as was checked by a run.

        The time of the build includes the first run, which chooses algorithms or builds TensorRT's engine. How
        many nodes each provider took is read from the profile of a session of its own, outside of that time.

        Raises:
            BackendUnavailable: also when ONNX Runtime puts the CPU in the provider's place.
        """
        import numpy as np

        if spec.precision not in self.precisions or spec.input.dtype == "float16":
            raise PrecisionUnsupported(
                f"{self.name} does not run {spec.input.dtype} inputs in {spec.precision}",
                hint=f"it runs in {', '.join(self.precisions)}",
            )
        check_quantised(model, spec.precision)
        runtime = load_runtime(_HINT.format(provider=self.provider))
        if self.provider not in runtime.get_available_providers():
            raise BackendUnavailable(
                f"this onnxruntime was built without {self.provider}", hint=_HINT.format(provider=self.provider)
            )
        waiting, state = spin_while_waiting(), read_gpu_state(spec.power_mode)
        provided = self._provide(runtime, model, spec, state)
        sessions = _Sessions(runtime, model, provided.settings, spec.threads)
        zeros = np.zeros((spec.batch_size, *spec.input.shape), spec.input.dtype)
        engines_before = _engines(provided.cache)
        began = time.perf_counter()
        session = sessions.make()
        check_session(session, spec)
        bound_step(runtime, session, zeros, spec)()
        time_s = time.perf_counter() - began
        engines = _engines(provided.cache)
        built = Build(
            time_s=time_s,
            size_bytes=sum(engine.stat().st_size for engine in engines) if engines else None,
            from_cache=bool(engines) and engines == engines_before,
            precision=spec.precision,
            options=[
                *options_in_words(self.provider, spec.threads),
                "io_binding=on",
                "host_memory=ordinary",
                waiting,
                *state.in_words(),
                *(word for each in provided.settings for word in each.words),
                *_count_nodes(sessions, self.provider, zeros, spec),
                *unused_choices(spec.options, self.choices),
            ],
        )
        return OnnxRuntimeGpuEngine(runtime, session, built, spec)

    def _provide(self, runtime: Any, model: bytes, spec: EngineSpec, state: GpuState) -> _Provided:
        return _Provided([cuda_settings(runtime.__version__)])

    def _problem(self) -> Optional[str]:
        if not is_installed("onnxruntime"):
            return f"onnxruntime is not installed; {_HINT.format(provider=self.provider)}"
        if not has_file("onnxruntime", self._library):
            return f"onnxruntime was built without {self.provider}; {_HINT.format(provider=self.provider)}"
        if find_gpu() is None:
            return f"no NVIDIA GPU is visible; {GPU_HINT}"
        return None


class OnnxRuntimeTensorRtBackend(OnnxRuntimeCudaBackend):
    """Runs what TensorRT can of a model by TensorRT, the rest by CUDA. INT8 for models with Q/DQ nodes."""

    name = "onnxruntime-tensorrt"
    provider = TENSORRT
    precisions = ("fp32", "fp16", "int8")
    choices = TENSORRT_CHOICES
    _library = "capi/libonnxruntime_providers_tensorrt.so"

    def _provide(self, runtime: Any, model: bytes, spec: EngineSpec, state: GpuState) -> _Provided:
        """ONNX Runtime names its engines by model and GPU; the rest that they depend on is in the folder's name."""
        facts = {
            "model": hashlib.sha256(model).hexdigest(),
            "onnxruntime": runtime.__version__,
            "tensorrt": tensorrt_version(),
            "l4t": read_l4t(Path("/")),
            "precision": spec.precision,
            "batch_size": spec.batch_size,
            "options": spec.options.model_dump(exclude={"builds", "build_timeout_s"}),
            **state.facts(),
        }
        engines = spec.cache_dir / self.name
        cache = engines / fingerprint(facts)
        try:
            cache.mkdir(parents=True, exist_ok=True)
            os.utime(cache)
            prune(engines, keep=cache)
        except OSError as error:
            raise BuildFailed(f"the folder for engines cannot be made: {error.strerror}") from error
        return _Provided([tensorrt_settings(spec, cache), cuda_settings(runtime.__version__)], cache)


class _Sessions:
    """Makes sessions of one model on the same providers; the first of these is the one that must start."""

    def __init__(self, runtime: Any, model: bytes, settings: Sequence[Settings], threads: int) -> None:
        self._runtime = runtime
        self._model = model
        self._provider = settings[0].name
        self._providers = [*((each.name, each.options) for each in settings), CPU]
        self._threads = threads

    def make(self, profile: Optional[str] = None) -> Any:
        """Return a session, which writes a profile to a path that begins with ``profile`` if that is given.

        Raises:
            BackendUnavailable: the provider does not start. BuildFailed, OutOfMemory: as they say.
        """
        options = session_options(self._runtime, self._threads)
        if profile is not None:
            options.enable_profiling = True
            options.profile_file_prefix = profile
        try:
            # Without fallback: else what fails, now or in a run, is repeated on the CPU. Old releases do not know
            # the argument, and pass it over.
            session = self._runtime.InferenceSession(self._model, options, providers=self._providers, enable_fallback=0)
        except Exception as error:
            if _NOT_STARTED.search(str(error)):
                what = f"{self._provider} did not start: {in_one_line(error)}"
                raise BackendUnavailable(what, hint=_LIBRARIES_HINT) from error
            raise typed(error, BuildFailed, "the model could not be loaded") from error
        self._check_provider(session)
        session.disable_fallback()
        return session

    def _check_provider(self, session: Any) -> None:
        """ONNX Runtime warns, and goes on with the CPU, where the libraries of CUDA do not load."""
        active = list(session.get_providers())
        if self._provider not in active:
            raise BackendUnavailable(
                f"{self._provider} did not start, and onnxruntime put {', '.join(active) or 'nothing'} in its place",
                hint=_LIBRARIES_HINT,
            )


def _count_nodes(sessions: _Sessions, provider: str, inputs: np.ndarray, spec: EngineSpec) -> List[str]:
    """Return how many nodes ran on each provider, as name=value.

    Raises:
        BuildFailed: not one ran on ``provider``, or that cannot be told.
    """
    try:
        counts = count_providers(sessions.make, [output.name for output in spec.outputs], {spec.input.name: inputs})
    except Exception as error:
        raise typed(error, BuildFailed, "which provider runs the nodes could not be told") from error
    if not counts[provider]:
        raise BuildFailed(
            f"{provider} runs no node of the model; they run on {', '.join(sorted(counts))}",
            hint="measure the model on the backend that runs it",
        )
    return [f"nodes.{name}={count}" for name, count in sorted(counts.items())]


def _engines(cache: Optional[Path]) -> List[Path]:
    return [] if cache is None else sorted(cache.glob("*.engine"))


def prune(folder: Path, keep: Path, max_bytes: int = MAX_BYTES) -> None:
    """Remove the folders of engines that were not used for the longest time, beyond ``max_bytes``; never ``keep``.

    Raises:
        OSError: a folder cannot be read.
    """
    newest_first = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    total = 0
    for each in newest_first:
        total += sum(path.stat().st_size for path in each.rglob("*") if path.is_file())
        if total > max_bytes and each != keep:
            shutil.rmtree(each, ignore_errors=True)
