"""ONNX Runtime on the CPU."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, List, Optional, Type

from gdws_contract.measures import Build
from gdws_contract.rest import Availability

from .base import EngineSpec, Step, check_inputs
from .errors import BackendUnavailable, BuildFailed, RunFailed, UnsupportedPrecision, typed
from .interface import Tensor, check_interface
from .packages import is_installed, version_of

if TYPE_CHECKING:
    import numpy as np

PRECISIONS = ["fp32"]
PROVIDER = "CPUExecutionProvider"
INSTALL_HINT = 'install it into the agent\'s environment: pip install "gdws-agent[onnxruntime]"'
SCOPE = (
    "host time of one session.run call, from a NumPy array on the host to a NumPy array on the host; "
    "no pre- or post-processing"
)

#: The distributions that bring the module ``onnxruntime``.
_DISTRIBUTIONS = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-qnn")
_NUMPY_TYPES = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(uint8)": "uint8"}


class OnnxRuntimeBackend:
    """Runs models as they are, in float32, on the CPU provider."""

    name = "onnxruntime"

    def probe(self) -> Availability:
        """Return availability; the runtime is looked for, not loaded."""
        if not is_installed("onnxruntime"):
            return Availability(name=self.name, available=False, reason=f"onnxruntime is not installed; {INSTALL_HINT}")
        return Availability(
            name=self.name,
            available=True,
            version=version_of(*_DISTRIBUTIONS),
            precisions=PRECISIONS,
            detail={"provider": PROVIDER},
        )

    def build(self, model: bytes, spec: EngineSpec) -> OnnxRuntimeEngine:
        """Return a session of ``model``; see :func:`_session_options` for how it is set up."""
        if spec.precision not in PRECISIONS or spec.input.dtype == "float16":
            raise UnsupportedPrecision(
                f"onnxruntime runs {spec.input.dtype} inputs in {spec.precision} not on the CPU",
                hint=f"it runs in {', '.join(PRECISIONS)}",
            )
        runtime = _load()
        began = time.perf_counter()
        try:
            session = runtime.InferenceSession(model, _session_options(runtime, spec.threads), providers=[PROVIDER])
        except Exception as error:
            raise typed(error, BuildFailed, "the model could not be loaded") from error
        _check_session(session, spec)
        built = Build(
            time_s=time.perf_counter() - began,
            precision="fp32",
            options=_options_in_words(spec.threads),
        )
        return OnnxRuntimeEngine(session, built, spec)


class OnnxRuntimeEngine:
    """A session and what it was built for."""

    scope = SCOPE

    def __init__(self, session: Any, build: Build, spec: EngineSpec) -> None:
        self.build = build
        self._session: Any = session
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
        if self._session is None:
            raise RunFailed("the engine was freed")
        check_inputs(inputs, self._spec)
        run: Callable[..., List[np.ndarray]] = self._session.run
        outputs, feed = [self._spec.output.name], {self._spec.input.name: inputs}

        def step() -> np.ndarray:
            try:
                return run(outputs, feed)[0]
            except Exception as error:
                raise typed(error, RunFailed, "the model could not be run") from error

        return step


def _load() -> Any:
    try:
        import onnxruntime
    except Exception as error:  # also what a broken installation raises: a missing library, an ABI that differs
        raise BackendUnavailable(f"onnxruntime cannot be loaded: {error}", hint=INSTALL_HINT) from error
    return onnxruntime


def _session_options(runtime: Any, threads: int) -> Any:
    """All graph optimisations, one operator at a time on ``threads`` threads, and no spinning.

    By default a session's idle threads spin, waiting for the next run. With several sessions alive, that takes
    the cores from the one whose turn it is: measured in turns, networks then seem up to twice as slow as alone.
    Without spinning, each call pays for waking its threads, the same for every variant.
    """
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # errors are raised, and need not be printed too
    return options


def _options_in_words(threads: int) -> List[str]:
    return [
        f"provider={PROVIDER}",
        f"intra_op_threads={threads}",
        "inter_op_threads=1",
        "execution_mode=sequential",
        "graph_optimization=all",
        "allow_spinning=0",
        "io_binding=off",
    ]


def _check_session(session: Any, spec: EngineSpec) -> None:
    inputs = [
        Tensor(
            node.name,
            _NUMPY_TYPES.get(node.type, node.type),
            [axis if isinstance(axis, int) else None for axis in node.shape],
        )
        for node in session.get_inputs()
    ]
    check_interface(inputs, [output.name for output in session.get_outputs()], spec)
