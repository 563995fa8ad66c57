"""ONNX Runtime on the CPU."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, List, Optional, Type

from gdws_agent.backends.base import Capabilities, EngineSpec, Step, check_inputs
from gdws_agent.backends.engine_choices import unused_choices
from gdws_agent.backends.errors import typed
from gdws_agent.backends.layer_times import layer_times
from gdws_agent.backends.onnx_nodes import read_nodes
from gdws_agent.backends.packages import is_installed, version_of
from gdws_agent.backends.quantised import check_quantised
from gdws_agent.errors import BackendError, BuildFailed, PrecisionUnsupported, RunFailed
from gdws_contract.measures import Build
from gdws_contract.profiles import LayerTime
from gdws_contract.rest import Availability

from .names import NodeNames
from .profile import ProfiledSession, profile_nodes
from .session import CPU, INSTALL_HINT, check_session, load_runtime, options_in_words, session_options

if TYPE_CHECKING:
    import numpy as np

#: What networks in floating point run in.
PRECISIONS = ["fp32"]
#: What networks run in that are quantised themselves, whatever a request asks for.
QUANTISED = "int8"
SCOPE = (
    "host time of one session.run call, from a NumPy array on the host to a NumPy array on the host; "
    "no pre- or post-processing"
)

#: The distributions that bring the module ``onnxruntime``.
DISTRIBUTIONS = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-qnn")


class OnnxRuntimeBackend:
    """Runs models as they are, in float32 or quantised, on the CPU provider."""

    name = "onnxruntime"
    capabilities = Capabilities(layer_profiles=True)

    def probe(self) -> Availability:
        """Return availability; the runtime is looked for, not loaded."""
        if not is_installed("onnxruntime"):
            return Availability(name=self.name, available=False, reason=f"onnxruntime is not installed; {INSTALL_HINT}")
        return Availability(
            name=self.name,
            available=True,
            version=version_of(*DISTRIBUTIONS),
            precisions=PRECISIONS,
            detail={"provider": CPU},
        )

    def build(self, model: bytes, spec: EngineSpec) -> OnnxRuntimeEngine:
        """Return a session of ``model``; see :func:`~.onnxruntime_session.session_options` for how it is set up."""
        if spec.precision not in (*PRECISIONS, QUANTISED) or spec.input.dtype == "float16":
            raise PrecisionUnsupported(
                f"onnxruntime runs {spec.input.dtype} inputs in {spec.precision} not on the CPU",
                hint=f"it runs in {', '.join(PRECISIONS)}",
            )
        check_quantised(model, spec.precision)
        runtime = load_runtime()

        def make(options: Any) -> Any:
            try:
                return runtime.InferenceSession(model, options, providers=[CPU])
            except Exception as error:
                raise typed(error, BuildFailed, "the model could not be loaded") from error

        def make_profiled(prefix: str) -> Any:
            options = session_options(runtime, spec.threads)
            options.enable_profiling = True
            options.profile_file_prefix = prefix
            return make(options)

        began = time.perf_counter()
        session = make(session_options(runtime, spec.threads))
        check_session(session, spec)
        built = Build(
            time_s=time.perf_counter() - began,
            precision=spec.precision,
            options=[*options_in_words(CPU, spec.threads), "io_binding=off", *unused_choices(spec.options)],
        )
        return OnnxRuntimeEngine(session, model, make_profiled, built, spec)


class OnnxRuntimeEngine:
    """A session and what it was built for."""

    scope = SCOPE
    capabilities = OnnxRuntimeBackend.capabilities
    profiler = "ONNX Runtime's profiler, host clock"

    def __init__(
        self, session: Any, model: bytes, make_profiled: ProfiledSession, build: Build, spec: EngineSpec
    ) -> None:
        self.build = build
        self._session: Any = session
        self._model = model
        self._make_profiled = make_profiled
        self._spec = spec

    def __enter__(self) -> OnnxRuntimeEngine:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self._session = None

    def bind(self, inputs: np.ndarray) -> Step:
        """Return a step that calls ``session.run``, as an application would.

        An I/O binding with outputs made beforehand would save about 15 microseconds of each call, but is not
        what most applications do.
        """
        self._check(inputs)
        run: Callable[..., List[np.ndarray]] = self._session.run
        outputs, feed = [output.name for output in self._spec.outputs], {self._spec.input.name: inputs}

        def step() -> List[np.ndarray]:
            try:
                return run(outputs, feed)
            except Exception as error:
                raise typed(error, RunFailed, "the model could not be run") from error

        return step

    def profile(self, inputs: np.ndarray, iterations: int) -> List[LayerTime]:
        """Return the nodes of the optimised graph as they ran, in a session of its own that writes a profile."""
        self._check(inputs)
        outputs, feed = [output.name for output in self._spec.outputs], {self._spec.input.name: inputs}
        try:
            timed = profile_nodes(self._make_profiled, outputs, feed, iterations)
            names = NodeNames(read_nodes(self._model))
        except BackendError:
            raise
        except Exception as error:
            raise typed(error, RunFailed, "the model could not be profiled") from error
        named = [node._replace(name=names.restored(node.name, node.kind or "")) for node in timed]
        return layer_times(named, iterations)

    def _check(self, inputs: np.ndarray) -> None:
        if self._session is None:
            raise RunFailed("the engine was freed")
        check_inputs(inputs, self._spec)
