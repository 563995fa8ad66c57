"""A session of ONNX Runtime on a GPU, run through an I/O binding with buffers there."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, List, Optional, Type

from gdws_agent.backends.base import Capabilities, EngineSpec, Step, check_inputs
from gdws_agent.backends.errors import typed
from gdws_agent.errors import RunFailed
from gdws_contract.measures import Build

if TYPE_CHECKING:
    import numpy as np

SCOPE = (
    "host time from a NumPy array on the host to one on the host, in ordinary memory: copy to a buffer on the GPU "
    "that was made beforehand, one session.run_with_iobinding, copy back, synchronised; no pre- or post-processing"
)


class OnnxRuntimeGpuEngine:
    """A session on a GPU. Each binding has buffers of its own there.

    It does not tell the time of single layers: the runtime's profiler goes by the host's clock, which sees a GPU's
    kernels begin, not end.
    """

    capabilities = Capabilities(on_device=True)
    scope = SCOPE

    def __init__(self, runtime: Any, session: Any, build: Build, spec: EngineSpec) -> None:
        self.build = build
        self._runtime = runtime
        self._session: Any = session
        self._spec = spec

    def __enter__(self) -> OnnxRuntimeGpuEngine:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self._session = None

    def bind(self, inputs: np.ndarray) -> Step:
        """Return a step that copies ``inputs`` to the GPU, runs, and copies the outputs back."""
        if self._session is None:
            raise RunFailed("the engine was freed")
        check_inputs(inputs, self._spec)
        return bound_step(self._runtime, self._session, inputs, self._spec)


def bound_step(runtime: Any, session: Any, inputs: np.ndarray, spec: EngineSpec, device: str = "cuda") -> Step:
    """Return a step of ``session`` with buffers of its own on the first ``device``.

    Bound to an array on the host, a session would copy it once, at the binding. So the copies are made by hand:
    they are what an application pays for each image.
    """
    import numpy as np

    try:
        binding = session.io_binding()
        sent = runtime.OrtValue.ortvalue_from_numpy(inputs, device, 0)
        binding.bind_ortvalue_input(spec.input.name, sent)
        received = []
        for output in spec.outputs:
            shape = [spec.batch_size, *output.shape]
            received.append(runtime.OrtValue.ortvalue_from_shape_and_type(shape, np.dtype(output.dtype), device, 0))
            binding.bind_ortvalue_output(output.name, received[-1])
    except Exception as error:
        raise typed(error, RunFailed, "the session's buffers could not be made") from error
    run: Callable[[Any], None] = session.run_with_iobinding

    def step() -> List[np.ndarray]:
        try:
            sent.update_inplace(inputs)
            run(binding)
            return [each.numpy() for each in received]
        except Exception as error:
            raise typed(error, RunFailed, "the model could not be run") from error

    return step
