"""A serialized TensorRT engine, run through pycuda: one stream, page-locked host memory, events around each part."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Dict, Optional, Type

from gdws_contract.measures import Build

from .base import DeviceTimes, EngineSpec, Step, check_inputs
from .cuda_context import PrimaryContext
from .errors import BuildFailed, RunFailed, typed
from .tensorrt_inspect import layer_precisions
from .tensorrt_log import Messages, failure, make_logger

if TYPE_CHECKING:
    import numpy as np

_SCOPE = (
    "host time from a page-locked array on the host to one on the host: copy to the GPU, computing, copy back, "
    "synchronised; no pre- or post-processing"
)
#: TensorRT's own table of types fails with NumPy 1.24 in releases before 8.6.
_NUMPY_TYPES = {"FLOAT": "float32", "HALF": "float16", "INT8": "int8", "INT32": "int32", "UINT8": "uint8"}


class LoadedEngine:
    """A deserialized engine with its execution context; what it needs of TensorRT is held until :meth:`free`.

    Raises BuildFailed when TensorRT refuses the engine, as it does when another release or GPU made it, and
    OutOfMemory.
    """

    def __init__(self, trt: Any, serialized: bytes) -> None:
        self._trt = trt
        self.messages = Messages()
        # In the order of their making; freed the other way round.
        self._logger: Any = make_logger(trt, self.messages)
        self._runtime: Any = trt.Runtime(self._logger)
        self._engine: Any = self._runtime.deserialize_cuda_engine(serialized)
        if self._engine is None:
            raise failure(self.messages, BuildFailed, "TensorRT refuses the engine")
        self.context: Any = self._engine.create_execution_context()
        if self.context is None:
            raise failure(self.messages, BuildFailed, "TensorRT could not make an execution context")

    def precisions(self) -> Dict[str, int]:
        """Return precision -> number of layers with weights in it; see :func:`~.tensorrt_inspect.layer_precisions`."""
        inspector = self._engine.create_engine_inspector()
        return layer_precisions(inspector.get_engine_information(self._trt.LayerInformationFormat.JSON))

    def numpy_type(self, name: str) -> str:
        """Return NumPy's name for the type of the tensor ``name``."""
        kind = self._engine.get_tensor_dtype(name).name
        if kind not in _NUMPY_TYPES:
            raise BuildFailed(f"the engine's tensor {name!r} is of the type {kind}, which NumPy does not have")
        return _NUMPY_TYPES[kind]

    def free(self) -> None:
        """Free the execution context, then the engine, then the runtime."""
        self.context = None
        self._engine = None
        self._runtime = None
        self._logger = None


class TensorRtEngine:
    """An engine with its device buffers, for one batch size."""

    scope = _SCOPE

    def __init__(
        self, cuda: Any, primary: PrimaryContext, loaded: LoadedEngine, build: Build, spec: EngineSpec
    ) -> None:
        """Take over ``loaded``, and allocate on the GPU.

        Raises:
            OutOfMemory, RunFailed: the buffers cannot be made.
        """
        self.build = build
        self._cuda = cuda
        self._spec = spec
        self._loaded = loaded
        self._ran = False
        with ExitStack() as stack:
            primary.retain()
            stack.callback(primary.release)
            stack.callback(loaded.free)
            try:
                self._allocate(stack)
            except cuda.Error as error:
                raise typed(error, RunFailed, "the engine's buffers could not be made") from error
            self._resources: Optional[ExitStack] = stack.pop_all()

    def __enter__(self) -> TensorRtEngine:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        resources, self._resources = self._resources, None
        if resources is not None:
            resources.close()

    def bind(self, inputs: np.ndarray) -> Step:
        """Return a step with page-locked memory of its own for inputs and outputs; the GPU's is the engine's."""
        self._check_alive()
        check_inputs(inputs, self._spec)
        try:
            sent: np.ndarray = self._cuda.pagelocked_empty(inputs.shape, inputs.dtype)
            received: np.ndarray = self._cuda.pagelocked_empty(self._output_shape, self._output_type)
        except self._cuda.Error as error:
            raise typed(error, RunFailed, "no page-locked memory for inputs and outputs") from error
        sent[...] = inputs

        def step() -> np.ndarray:
            self._check_alive()
            try:
                self._run(sent, received)
            except self._cuda.Error as error:
                raise typed(error, RunFailed, "the engine could not run") from error
            return received

        return step

    def device_times(self) -> DeviceTimes:
        """Return the times of the last step, of whichever binding, by the GPU's events."""
        self._check_alive()
        if not self._ran:
            raise RunFailed("no step has run")
        start, arrived, computed, end = self._events
        return DeviceTimes(start.time_till(arrived), arrived.time_till(computed), computed.time_till(end))

    def _run(self, sent: np.ndarray, received: np.ndarray) -> None:
        cuda, stream = self._cuda, self._stream
        start, arrived, computed, end = self._events
        start.record(stream)
        cuda.memcpy_htod_async(self._device_in, sent, stream)
        arrived.record(stream)
        if not self._loaded.context.execute_async_v3(stream.handle):
            stream.synchronize()
            raise failure(self._loaded.messages, RunFailed, "the engine could not run")
        computed.record(stream)
        cuda.memcpy_dtoh_async(received, self._device_out, stream)
        end.record(stream)
        stream.synchronize()
        self._ran = True

    def _allocate(self, stack: ExitStack) -> None:
        """Make stream, events and buffers; what is made is freed by ``stack``."""
        cuda, context, spec = self._cuda, self._loaded.context, self._spec
        shape = (spec.batch_size, *spec.input.shape)
        if not context.set_input_shape(spec.input.name, shape):
            raise failure(self._loaded.messages, BuildFailed, f"the engine does not take inputs of shape {shape}")
        self._output_shape = tuple(context.get_tensor_shape(spec.output.name))
        if min(self._output_shape) < 0:
            raise BuildFailed(f"the shape of the outputs, {self._output_shape}, depends on the values of the inputs")
        self._output_type = self._loaded.numpy_type(spec.output.name)
        self._stream = cuda.Stream()
        self._events = tuple(cuda.Event() for _ in range(4))
        self._device_in = self._place(stack, spec.input.name, shape, self._loaded.numpy_type(spec.input.name))
        self._device_out = self._place(stack, spec.output.name, self._output_shape, self._output_type)

    def _place(self, stack: ExitStack, name: str, shape: Any, dtype: str) -> Any:
        """Allocate the tensor ``name`` on the GPU and tell the execution context its address."""
        import numpy as np

        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        memory = self._cuda.mem_alloc(size)
        stack.callback(memory.free)
        if not self._loaded.context.set_tensor_address(name, int(memory)):
            raise failure(self._loaded.messages, BuildFailed, f"the engine does not take an address for {name!r}")
        return memory

    def _check_alive(self) -> None:
        if self._resources is None:
            raise RunFailed("the engine was freed")
