"""A serialized TensorRT engine, run through pycuda: one stream, page-locked host memory, events around each part."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, List, NamedTuple, Optional, Sequence, Tuple, Type

from gdws_agent.backends.base import Capabilities, DeviceMemory, DeviceTimes, EngineSpec, Step, check_inputs
from gdws_agent.backends.cuda.context import PrimaryContext, let_go
from gdws_agent.backends.cuda.driver import DriverFailed
from gdws_agent.backends.errors import typed
from gdws_agent.errors import BackendError, BuildFailed, RunFailed
from gdws_contract.measures import Build
from gdws_contract.profiles import LayerTime

from .graph import Graph, capture
from .inspect import LayerFacts
from .log import Log, failure
from .profile import Recorder, make_profiler
from .shapes import axes

if TYPE_CHECKING:
    import numpy as np
    from tensorrt import ICudaEngine, IExecutionContext, Runtime

_SCOPE = (
    "host time from a page-locked array on the host to one on the host: copy to the GPU, computing, copy back, "
    "synchronised; no pre- or post-processing"
)
_MEMORY_METHOD = (
    "what TensorRT tells that the engine needs for activations, its size, and its buffers for inputs and outputs; "
    "without CUDA's own, and without what the builder took"
)
#: TensorRT's own table of types fails with NumPy 1.24 in releases before 8.6.
_NUMPY_TYPES = {
    "FLOAT": "float32",
    "HALF": "float16",
    "INT8": "int8",
    "INT32": "int32",
    "INT64": "int64",
    "UINT8": "uint8",
    "BOOL": "bool",
}
#: Inferences before the profiler's reports count.
_PROFILER_WARM_UP = 5


class LoadedEngine:
    """A deserialized engine with its execution context; what it needs of TensorRT is held until :meth:`free`.

    There is one context at a time, with the shape of ``spec`` set: before TensorRT 10 each context in use needs an
    optimisation profile of its own, and engines are built with one. ``dla_core`` is that of the accelerator that
    the engine was built for.

    Raises:
        BuildFailed: TensorRT refuses the engine, as it does when another release or GPU made it, or the shape.
        OutOfMemory: as it says.
    """

    def __init__(self, trt: Any, log: Log, serialized: bytes, spec: EngineSpec, dla_core: Optional[int] = None) -> None:
        self.trt = trt
        self.log = log
        self._input_name = spec.input.name
        self._input_shape = (spec.batch_size, *spec.input.shape)
        self._context: Optional[IExecutionContext] = None
        # In the order of their making; freed the other way round.
        self._runtime: Optional[Runtime] = trt.Runtime(log.logger)
        assert self._runtime is not None
        if dla_core is not None:
            self._runtime.DLA_core = dla_core
        self._engine: Optional[ICudaEngine] = self._runtime.deserialize_cuda_engine(serialized)
        if self._engine is None:
            raise failure(log.messages, BuildFailed, "TensorRT refuses the engine")
        self.renew_context()

    @property
    def context(self) -> IExecutionContext:
        """The execution context. It is not to be kept: another can be made only after it is gone.

        Raises:
            RunFailed: there is none, because the last one could not be made.
        """
        if self._context is None:
            raise RunFailed("the engine has no execution context")
        return self._context

    def renew_context(self) -> None:
        """Make a new execution context in place of the present one; addresses and profiler are not set.

        Raises:
            BuildFailed, OutOfMemory: TensorRT could not make it.
        """
        assert self._engine is not None
        self._context = None
        context = self._engine.create_execution_context()
        if context is None:
            raise failure(self.log.messages, BuildFailed, "TensorRT could not make an execution context")
        # The engine was built to tell of its layers in detail, and would annotate each of them in every enqueue.
        context.nvtx_verbosity = self.trt.ProfilingVerbosity.NONE
        if not context.set_input_shape(self._input_name, self._input_shape):
            raise failure(
                self.log.messages, BuildFailed, f"the engine does not take inputs of shape {self._input_shape}"
            )
        self._context = context

    def information(self) -> str:
        """Return what the engine tells of its layers, as JSON.

        The types of layers depend on the shapes of the inputs, so the inspector is given the context that has them.
        """
        assert self._engine is not None
        inspector = self._engine.create_engine_inspector()
        inspector.execution_context = self.context
        information: str = inspector.get_engine_information(self.trt.LayerInformationFormat.JSON)
        return information

    def numpy_type(self, name: str) -> str:
        """Return NumPy's name for the type of the tensor ``name``."""
        assert self._engine is not None
        kind = self._engine.get_tensor_dtype(name).name
        if kind not in _NUMPY_TYPES:
            raise BuildFailed(f"the engine's tensor {name!r} is of the type {kind}, which NumPy does not have")
        return _NUMPY_TYPES[kind]

    def activation_bytes(self) -> Optional[int]:
        """Return what the engine needs for activations in each execution context; None where it does not tell.

        TensorRT 10 has a second name, which covers more than 2 GiB; TensorRT 11 has that one alone.
        """
        for name in ("device_memory_size_v2", "device_memory_size"):
            size = getattr(self._engine, name, None)
            if size is not None:
                return int(size)
        return None

    def free(self) -> None:
        """Free the execution context, then the engine, then the runtime."""
        self._context = None
        self._engine = None
        self._runtime = None


class _Output(NamedTuple):
    """An output of the engine, and its place on the GPU."""

    name: str
    shape: Tuple[int, ...]
    dtype: str
    memory: Any


class TensorRtEngine:
    """An engine with its device buffers, for one batch size."""

    scope = _SCOPE
    capabilities = Capabilities(
        layer_profiles=True,
        device_times=True,
        on_device=True,
        device_memory=True,
        layer_precisions=True,
        matches_trtexec=True,
    )
    profiler = "TensorRT IProfiler"

    def __init__(
        self,
        cuda: Any,
        primary: PrimaryContext,
        loaded: LoadedEngine,
        build: Build,
        spec: EngineSpec,
        layers: Sequence[LayerFacts],
    ) -> None:
        """Take over ``loaded``, of which ``layers`` are told, and allocate on the GPU.

        Raises:
            OutOfMemory, RunFailed: the buffers cannot be made.
        """
        self._cuda = cuda
        self._spec = spec
        self._loaded = loaded
        self._layers = layers
        self._ran = False
        self._buffer_bytes = 0
        self._graph: Optional[Graph] = None
        with ExitStack() as stack:
            primary.retain()
            stack.callback(primary.release)
            stack.callback(loaded.free)
            try:
                self._allocate(stack)
                stack.callback(self._free_graph)
                graph_in_words = self._prepare()
            except cuda.Error as error:
                raise typed(error, RunFailed, "the engine's buffers could not be made") from error
            self._resources: Optional[ExitStack] = stack.pop_all()
        self.build = build.model_copy(update={"options": [*build.options, graph_in_words]})

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
            received = [self._cuda.pagelocked_empty(each.shape, each.dtype) for each in self._outputs]
        except self._cuda.Error as error:
            raise typed(error, RunFailed, "no page-locked memory for inputs and outputs") from error
        sent[...] = inputs

        def step() -> List[np.ndarray]:
            self._check_alive()
            try:
                self._run(sent, received)
            except BackendError as error:
                let_go(error)
                raise
            except (self._cuda.Error, DriverFailed) as error:
                let_go(error)
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

    def device_memory(self) -> Optional[DeviceMemory]:
        """Return what the engine takes while it runs; what its builder took is not known."""
        self._check_alive()
        activations = self._loaded.activation_bytes()
        if activations is None or self.build.size_bytes is None:
            return None
        return DeviceMemory(activations + self.build.size_bytes + self._buffer_bytes, _MEMORY_METHOD)

    def profile(self, inputs: np.ndarray, iterations: int) -> List[LayerTime]:
        """Return the layers as TensorRT's profiler times them, in an execution context that is used for nothing else.

        The context that is timed makes room for it, and is made anew afterwards. Profiling takes time of its own, so
        the sum is above the latency.
        """
        self._check_alive()
        check_inputs(inputs, self._spec)
        recorder = Recorder()
        try:
            self._record(recorder, inputs, iterations)
        except BackendError as error:
            let_go(error)
            raise
        except self._cuda.Error as error:
            let_go(error)
            raise typed(error, RunFailed, "the engine could not be profiled") from error
        finally:
            self._renew()
        return recorder.layers(self._layers, iterations)

    def _record(self, recorder: Recorder, inputs: np.ndarray, iterations: int) -> None:
        """Have ``recorder`` told of each layer, in an execution context of its own."""
        cuda, stream = self._cuda, self._stream
        sent: np.ndarray = cuda.pagelocked_empty(inputs.shape, inputs.dtype)
        sent[...] = inputs
        profiler = make_profiler(self._loaded.trt, recorder)
        self._free_graph()
        self._loaded.renew_context()
        self._set_addresses()
        self._loaded.context.profiler = profiler
        cuda.memcpy_htod_async(self._device_in, sent, stream)
        for iteration in range(_PROFILER_WARM_UP + iterations):
            if iteration == _PROFILER_WARM_UP:
                recorder.forget()
            self._infer()
            stream.synchronize()

    def _renew(self) -> None:
        """Make the execution context that is timed anew."""
        try:
            self._loaded.renew_context()
            self._prepare()
        except BackendError as error:
            let_go(error)
            raise
        except self._cuda.Error as error:
            let_go(error)
            raise typed(error, RunFailed, "the engine could not be made ready again") from error

    def _run(self, sent: np.ndarray, received: List[np.ndarray]) -> None:
        cuda, stream = self._cuda, self._stream
        start, arrived, computed, end = self._events
        start.record(stream)
        cuda.memcpy_htod_async(self._device_in, sent, stream)
        arrived.record(stream)
        if self._graph is None:
            self._infer()
        else:
            self._graph.launch()
        computed.record(stream)
        for rows, output in zip(received, self._outputs):
            cuda.memcpy_dtoh_async(rows, output.memory, stream)
        end.record(stream)
        stream.synchronize()
        self._ran = True

    def _infer(self) -> None:
        """Queue one inference; where that fails, what was queued before it is let finish: it uses host memory."""
        try:
            self._enqueue()
        except RunFailed:
            self._stream.synchronize()
            raise

    def _enqueue(self) -> None:
        if not self._loaded.context.execute_async_v3(self._stream.handle):
            raise failure(self._loaded.log.messages, RunFailed, "the engine could not run")

    def _allocate(self, stack: ExitStack) -> None:
        """Make stream, events and buffers; what is made is freed by ``stack``."""
        cuda, spec = self._cuda, self._spec
        shape = (spec.batch_size, *spec.input.shape)
        self._stream = cuda.Stream()
        self._events = tuple(cuda.Event() for _ in range(4))
        self._device_in = self._place(stack, shape, self._loaded.numpy_type(spec.input.name))
        self._outputs = [self._output(stack, output.name) for output in spec.outputs]

    def _output(self, stack: ExitStack, name: str) -> _Output:
        shape = tuple(axes(self._loaded.context.get_tensor_shape(name)))
        if min(shape, default=-1) < 0:
            raise BuildFailed(f"the shape of the output {name!r}, {shape}, depends on the values of the inputs")
        dtype = self._loaded.numpy_type(name)
        return _Output(name, shape, dtype, self._place(stack, shape, dtype))

    def _prepare(self) -> str:
        """Make the new execution context ready to be timed; return in words what came of the CUDA graph."""
        self._set_addresses()
        self._graph, words = self._capture()
        return words

    def _set_addresses(self) -> None:
        outputs = ((output.name, output.memory) for output in self._outputs)
        for name, memory in ((self._spec.input.name, self._device_in), *outputs):
            if not self._loaded.context.set_tensor_address(name, int(memory)):
                raise failure(
                    self._loaded.log.messages, BuildFailed, f"the engine does not take an address for {name!r}"
                )

    def _capture(self) -> Tuple[Optional[Graph], str]:
        """Return the inference as a CUDA graph, where one is asked for and can be had; and in words what came of it."""
        if not self._spec.options.cuda_graph:
            return None, "cuda_graph=0"
        try:
            self._enqueue()  # sets TensorRT up, which cannot be captured
            self._stream.synchronize()
            graph = capture(self._stream.handle, self._enqueue)
        except (DriverFailed, RunFailed) as error:
            return None, f"cuda_graph=asked for and not possible, {error}"
        return graph, "cuda_graph=1"

    def _free_graph(self) -> None:
        graph, self._graph = self._graph, None
        if graph is not None:
            graph.free()

    def _place(self, stack: ExitStack, shape: Sequence[int], dtype: str) -> Any:
        """Allocate a tensor on the GPU."""
        import numpy as np

        size_bytes = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        memory = self._cuda.mem_alloc(size_bytes)
        self._buffer_bytes += size_bytes
        stack.callback(memory.free)
        return memory

    def _check_alive(self) -> None:
        if self._resources is None:
            raise RunFailed("the engine was freed")
