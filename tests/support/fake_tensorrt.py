"""A stand-in for ``tensorrt`` that runs the ONNX with ONNX Runtime behind the same calls, and forgives nothing.

It has the subset of the API that the agent uses, under the names and parameters of TensorRT 8.5 to 10;
test_tensorrt_double.py compares them with the real packages'. Calls out of order, an engine of another release,
a shape outside the profile, an address that is not set or was freed: each fails as TensorRT's own call does,
by returning False or None and reporting to the logger, or, where TensorRT would be undefined, by an exception.
"""

from __future__ import annotations

import enum
import hashlib
import json
import types
from importlib.machinery import ModuleSpec

import numpy as np

_MAGIC = b"double"
_TYPES = {1: ("FLOAT", np.float32), 10: ("HALF", np.float16), 2: ("UINT8", np.uint8), 7: ("INT64", np.int64)}


class Misuse(AssertionError):
    """A call that TensorRT leaves undefined."""


class Severity(enum.IntEnum):
    INTERNAL_ERROR = 0
    ERROR = 1
    WARNING = 2
    INFO = 3
    VERBOSE = 4


class ILogger:
    Severity = Severity

    def __init__(self):
        self._ready = True

    def log(self, severity, msg):
        raise Misuse("a logger must say what becomes of a message")


class BuilderFlag(enum.IntEnum):
    FP16 = 0
    INT8 = 1
    TF32 = 6


class NetworkDefinitionCreationFlag(enum.IntEnum):
    EXPLICIT_BATCH = 0


class MemoryPoolType(enum.IntEnum):
    WORKSPACE = 0


class ProfilingVerbosity(enum.IntEnum):
    LAYER_NAMES_ONLY = 0
    NONE = 1
    DETAILED = 2


class LayerInformationFormat(enum.IntEnum):
    ONELINE = 0
    JSON = 1


class DataType(enum.IntEnum):
    FLOAT = 0
    HALF = 1
    INT8 = 2
    INT32 = 3
    BOOL = 4
    UINT8 = 5
    INT64 = 8


class ITensor:
    def __init__(self, value):
        kind = value.type.tensor_type
        self.name = value.name
        self.dtype = DataType[_TYPES[kind.elem_type][0]]
        self.shape = tuple(axis.dim_value if axis.HasField("dim_value") else -1 for axis in kind.shape.dim)


class INetworkDefinition:
    def __init__(self):
        self._model = None

    @property
    def num_inputs(self):
        return len(self._inputs())

    @property
    def num_outputs(self):
        return len(self._model.graph.output)

    def get_input(self, index):
        return ITensor(self._inputs()[index])

    def get_output(self, index):
        return ITensor(self._model.graph.output[index])

    def _inputs(self):
        weights = {tensor.name for tensor in self._model.graph.initializer}
        return [value for value in self._model.graph.input if value.name not in weights]


class ParserError:
    """As 8.5 has it: the node by its number alone."""

    def __init__(self, desc, node=-1):
        self._desc, self._node = desc, node

    def desc(self):
        return self._desc

    def node(self):
        return self._node


class OnnxParser:
    def __init__(self, network, logger):
        self._network, self._logger = network, _ready(logger)
        self._errors = []

    @property
    def num_errors(self):
        return len(self._errors)

    def get_error(self, index):
        return self._errors[index]

    def parse(self, model, path=None):
        import onnx

        try:
            found = onnx.load_from_string(model)
        except Exception:
            return self._fail(ParserError("Failed to parse the ONNX model."))
        opset = max((each.version for each in found.opset_import if each.domain == ""), default=0)
        if opset > 17:
            return self._fail(ParserError(f"unsupported opset {opset}"))
        for index, node in enumerate(found.graph.node):
            if node.domain not in ("", "ai.onnx"):
                self._logger.log(Severity.ERROR, f"While parsing node number {index} [{node.op_type}]:")
                return self._fail(ParserError("Plugin not found", index))
        self._network._model = found
        return True

    def _fail(self, error):
        self._errors.append(error)
        self._logger.log(Severity.ERROR, error.desc())
        return False


class IOptimizationProfile:
    def __init__(self):
        self.shapes = {}

    def set_shape(self, input, min, opt, max):
        self.shapes[input] = [list(min), list(opt), list(max)]


class IHostMemory:
    def __init__(self, content):
        self._content = content

    def __bytes__(self):
        return self._content


class ITimingCache:
    def __init__(self, content):
        self.content = content

    def serialize(self):
        return IHostMemory(self.content)


class IBuilderConfig:
    def __init__(self):
        self.flags_on = {BuilderFlag.TF32}
        self.profiles = []
        self.pools = {}
        self.timing_cache = None
        self.avg_timing_iterations = 1
        self.profiling_verbosity = ProfilingVerbosity.LAYER_NAMES_ONLY

    def set_flag(self, flag):
        self.flags_on.add(BuilderFlag(flag))

    def clear_flag(self, flag):
        self.flags_on.discard(BuilderFlag(flag))

    def set_memory_pool_limit(self, pool, pool_size):
        self.pools[MemoryPoolType(pool)] = pool_size

    def add_optimization_profile(self, profile):
        self.profiles.append(profile)
        return len(self.profiles) - 1

    def create_timing_cache(self, serialized_timing_cache):
        if not isinstance(serialized_timing_cache, bytes):
            raise TypeError("a timing cache is made from bytes")
        return ITimingCache(serialized_timing_cache)

    def set_timing_cache(self, cache, ignore_mismatch):
        if cache.content not in (b"", b"timings"):
            return False
        self.timing_cache = cache
        return True


class EngineInspector:
    def __init__(self, engine):
        self._engine = engine

    def get_engine_information(self, format):
        if format != LayerInformationFormat.JSON:
            raise Misuse("only JSON is read")
        if not self._engine._facts["detailed"]:
            return json.dumps({"Layers": ["conv"]})
        half = BuilderFlag.FP16 in self._engine._facts["flags"]
        kind = "Channel major FP16 format where channel % 8 == 0" if half else "Row major linear FP32"
        weighted = {"Name": "conv", "Inputs": [{"Format/Datatype": kind}], "Weights": {"Type": "Float", "Count": 8}}
        return json.dumps({"Layers": [weighted, {"Name": "reformat", "Inputs": [], "Weights": {"Count": 0}}]})


def _ready(logger):
    if not getattr(logger, "_ready", False):
        raise Misuse("the logger's base class was not initialised")
    return logger


def make_tensorrt(gpu, version="8.5.2.2", lacking=()):
    """Return the module ``tensorrt`` that runs on ``gpu``, a :class:`support.fake_pycuda.Gpu`.

    ``lacking``: names such as ``IExecutionContext.set_tensor_address`` that an older release does not have.
    """
    module = types.ModuleType("tensorrt")
    module.__spec__ = ModuleSpec("tensorrt", None)
    module.__version__ = version
    module.builds = 0

    class Builder:
        platform_has_tf32 = False
        platform_has_fast_fp16 = True

        def __init__(self, logger):
            self._logger = _ready(logger)
            gpu.check_current("cudaGetDevice")

        def create_network(self, flags=0):
            if not flags & (1 << NetworkDefinitionCreationFlag.EXPLICIT_BATCH):
                raise Misuse("the ONNX parser needs a network with an explicit batch")
            return INetworkDefinition()

        def create_builder_config(self):
            return IBuilderConfig()

        def create_optimization_profile(self):
            return IOptimizationProfile()

        def build_serialized_network(self, network, config):
            module.builds += 1
            dynamic = [tensor for tensor in map(network.get_input, range(network.num_inputs)) if -1 in tensor.shape]
            shapes = config.profiles[0].shapes if config.profiles else {}
            if any(tensor.name not in shapes for tensor in dynamic):
                return self._fail("dynamic inputs, but no optimization profile has been defined")
            content = network._model.SerializeToString()
            try:
                _session(content)
            except Exception as error:
                return self._fail(str(error))
            facts = {
                "version": module.__version__,
                "shapes": shapes,
                "flags": sorted(config.flags_on),
                "detailed": config.profiling_verbosity == ProfilingVerbosity.DETAILED,
            }
            if config.timing_cache is not None:
                config.timing_cache.content = b"timings"
            return IHostMemory(_pack(facts, content))

        def _fail(self, message):
            self._logger.log(Severity.ERROR, message)

    class Runtime:
        def __init__(self, logger):
            self._logger = _ready(logger)

        def deserialize_cuda_engine(self, serialized_engine):
            gpu.check_current("cudaGetDevice")
            unpacked = _unpack(serialized_engine)
            if unpacked is None:
                self._logger.log(Severity.ERROR, "Serialization assertion magicTagRead == kMAGIC_TAG failed.")
                return None
            if unpacked[0]["version"] != module.__version__:
                self._logger.log(Severity.ERROR, "The engine plan file is not compatible with this version of TensorRT")
                return None
            return ICudaEngine(self, *unpacked)

    class ICudaEngine:
        def __init__(self, runtime, facts, content):
            import onnx

            self._runtime, self._facts, self._content = runtime, facts, content
            network = INetworkDefinition()
            network._model = onnx.load_from_string(content)
            self._inputs = [network.get_input(index) for index in range(network.num_inputs)]
            self._outputs = [network.get_output(index) for index in range(network.num_outputs)]

        @property
        def num_io_tensors(self):
            return len(self._inputs) + len(self._outputs)

        def get_tensor_dtype(self, name):
            return next(tensor.dtype for tensor in [*self._inputs, *self._outputs] if tensor.name == name)

        def create_engine_inspector(self):
            return EngineInspector(self)

        def create_execution_context(self):
            gpu.check_current("cudaMalloc")
            return IExecutionContext(self)

    class IExecutionContext:
        def __init__(self, engine):
            self._engine = engine
            self._session = _session(engine._content)
            self._shapes, self._addresses = {}, {}

        def set_input_shape(self, name, shape):
            low, _, high = self._engine._facts["shapes"].get(name, [list(shape)] * 3)
            if not all(a <= b <= c for a, b, c in zip(low, shape, high)):
                return self._fail(f"Static dimension mismatch while setting input shape for {name}")
            self._shapes[name] = tuple(shape)
            return True

        def get_tensor_shape(self, name):
            for tensor in self._engine._inputs:
                if tensor.name == name:
                    return self._shapes.get(name, tensor.shape)
            batch = next(iter(self._shapes.values()), (-1,))[0]
            tensor = next(each for each in self._engine._outputs if each.name == name)
            return tuple(batch if axis == -1 else axis for axis in tensor.shape)

        def set_tensor_address(self, name, memory):
            if not isinstance(memory, int):
                raise TypeError("an address is an int")
            self._addresses[name] = memory
            return True

        def execute_async_v3(self, stream_handle):
            gpu.check_current("enqueueV3")
            for tensor in [*self._engine._inputs, *self._engine._outputs]:
                if tensor.name not in self._addresses:
                    return self._fail(f"Neither address or allocator is set for tensor {tensor.name}")
                if -1 in self.get_tensor_shape(tensor.name):
                    return self._fail(f"the shape of {tensor.name} is not set")
                self._memory(tensor)
            gpu.streams[stream_handle].queue.append(self._run)
            return True

        def _run(self):
            from support.fake_pycuda import LogicError, MemoryError

            feed = {tensor.name: self._array(tensor) for tensor in self._engine._inputs}
            try:
                outputs = self._session.run([tensor.name for tensor in self._engine._outputs], feed)
            except Exception as error:
                if "alloc" in str(error).lower():
                    raise MemoryError("cuStreamSynchronize failed: out of memory") from error
                raise LogicError(str(error)) from error
            for tensor, found in zip(self._engine._outputs, outputs):
                self._array(tensor)[...] = found

        def _memory(self, tensor):
            dtype = np.dtype(_numpy_type(tensor))
            size = int(np.prod(self.get_tensor_shape(tensor.name))) * dtype.itemsize
            return gpu.buffer(self._addresses[tensor.name], size, "enqueueV3")

        def _array(self, tensor):
            return self._memory(tensor).view(_numpy_type(tensor)).reshape(self.get_tensor_shape(tensor.name))

        def _fail(self, message):
            self._engine._runtime._logger.log(Severity.ERROR, message)
            return False

    for kind in (Builder, Runtime, ICudaEngine, IExecutionContext, ILogger, BuilderFlag, INetworkDefinition):
        setattr(module, kind.__name__, kind)
    for kind in (NetworkDefinitionCreationFlag, MemoryPoolType, ProfilingVerbosity, LayerInformationFormat, DataType):
        setattr(module, kind.__name__, kind)
    for kind in (ITensor, ParserError, OnnxParser, IOptimizationProfile, IHostMemory, ITimingCache, IBuilderConfig):
        setattr(module, kind.__name__, kind)
    module.EngineInspector = EngineInspector
    for path in lacking:
        owner, name = path.split(".")
        delattr(getattr(module, owner), name)
    return module


def _numpy_type(tensor):
    return next(kind for name, kind in _TYPES.values() if name == tensor.dtype.name)


def _session(content):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _pack(facts, content):
    header = json.dumps(facts).encode()
    body = len(header).to_bytes(4, "little") + header + content
    return _MAGIC + hashlib.sha256(body).digest() + body


def _unpack(serialized):
    start = len(_MAGIC) + 32
    body = serialized[start:]
    if serialized[: len(_MAGIC)] != _MAGIC or hashlib.sha256(body).digest() != serialized[len(_MAGIC) : start]:
        return None
    size = int.from_bytes(body[:4], "little")
    return json.loads(body[4 : 4 + size]), body[4 + size :]
