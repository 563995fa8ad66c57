"""A stand-in for ``tensorrt`` that runs the ONNX with ONNX Runtime behind the same calls, and forgives nothing.

It has the subset of the API that the agent uses, under the names and parameters of TensorRT 8.5 to 11;
test_tensorrt_double.py compares them with the real packages'. What a release does not have, its double lacks.
Calls out of order, an engine of another release, a shape outside the profile, an address that is not set or was
freed, a second logger, a base class that was not initialised: each fails as TensorRT's own call does, by returning
False or None and reporting to the logger, or, where TensorRT would be undefined, by an exception.
"""

import enum
import hashlib
import inspect
import json
import operator
import types
import weakref
from importlib.machinery import ModuleSpec

import numpy as np

_MAGIC = b"double"
_TYPES = {
    1: ("FLOAT", np.float32),
    10: ("HALF", np.float16),
    2: ("UINT8", np.uint8),
    3: ("INT8", np.int8),
    6: ("INT32", np.int32),
    7: ("INT64", np.int64),
    9: ("BOOL", np.bool_),
}
#: ONNX operators that make layers of a type that the agent asks for; all others are of one type here.
_LAYER_TYPES = {
    "Constant": "CONSTANT",
    "Conv": "CONVOLUTION",
    "QuantizeLinear": "QUANTIZE",
    "DequantizeLinear": "DEQUANTIZE",
}
#: ONNX operators that a deep learning accelerator runs.
_DLA_OPERATORS = ("Conv", "Relu", "Add", "MaxPool", "GlobalAveragePool", "Identity")
_TABLE = b"TRT-EntropyCalibration2\n"


class Misuse(BaseException):
    """A call that TensorRT leaves undefined. No code under test can take it for an error that it expects."""


class Fixed:
    """A class of the bindings: it takes no attributes but its own."""

    _attributes = ()

    def __setattr__(self, name, value):
        if not name.startswith("_") and name not in self._attributes:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        object.__setattr__(self, name, value)


class Callback:
    """A class to derive from; its own constructor must run."""

    def __init__(self):
        self._ready = True


def _callback(name, **methods):
    """Return the class ``name`` of the bindings, to be derived from with ``methods``, {name: parameters}."""
    return type(name, (Callback,), {each: _to_be_written(each, parameters) for each, parameters in methods.items()})


def _to_be_written(name, parameters):
    def method(self, *arguments):
        raise Misuse(f"a class derived from {type(self).__mro__[1].__name__} must have {name}")

    kinds = [inspect.Parameter(each, inspect.Parameter.POSITIONAL_ONLY) for each in ("self", *parameters.split())]
    method.__signature__ = inspect.Signature(kinds)
    return method


def _reads(attribute):
    return property(operator.attrgetter(attribute))


def _ready(callback, kind):
    if not isinstance(callback, kind):
        raise TypeError(f"incompatible function arguments: {kind.__name__} is expected")
    if not getattr(callback, "_ready", False):
        raise Misuse(f"the base class of the {kind.__name__} was not initialised")
    return callback


Severity = enum.IntEnum("Severity", "INTERNAL_ERROR ERROR WARNING INFO VERBOSE", start=0)
ILogger = _callback("ILogger", log="severity msg")
ILogger.Severity = Severity
IProfiler = _callback("IProfiler", report_layer_time="layer_name ms")
IProgressMonitor = _callback(
    "IProgressMonitor",
    phase_start="phase_name parent_phase num_steps",
    phase_finish="phase_name",
    step_complete="phase_name step",
)
IInt8EntropyCalibrator2 = _callback(
    "IInt8EntropyCalibrator2",
    get_batch_size="",
    get_batch="names",
    read_calibration_cache="",
    write_calibration_cache="cache",
)
BuilderFlag = enum.IntEnum("BuilderFlag", {"FP16": 0, "INT8": 1, "GPU_FALLBACK": 3, "TF32": 6})
#: That of releases that take types as the model has them.
StronglyTypedBuilderFlag = enum.IntEnum("StronglyTypedBuilderFlag", {"GPU_FALLBACK": 3, "TF32": 6})
DeviceType = enum.IntEnum("DeviceType", "GPU DLA", start=0)
LayerType = enum.IntEnum(
    "LayerType", {"CONVOLUTION": 0, "CONSTANT": 16, "IDENTITY": 20, "QUANTIZE": 40, "DEQUANTIZE": 41}
)
NetworkDefinitionCreationFlag = enum.IntEnum("NetworkDefinitionCreationFlag", "EXPLICIT_BATCH", start=0)
MemoryPoolType = enum.IntEnum("MemoryPoolType", "WORKSPACE", start=0)
ProfilingVerbosity = enum.IntEnum("ProfilingVerbosity", "LAYER_NAMES_ONLY NONE DETAILED", start=0)
LayerInformationFormat = enum.IntEnum("LayerInformationFormat", "ONELINE JSON", start=0)
DataType = enum.IntEnum("DataType", {"FLOAT": 0, "HALF": 1, "INT8": 2, "INT32": 3, "BOOL": 4, "UINT8": 5, "INT64": 8})


class _NoCreationFlag:
    """Every network has an explicit batch."""


class Dims:
    """No list: it has a length and elements, and the length of an unknown shape is an error."""

    def __init__(self, shape):
        self._shape = shape

    def __len__(self):
        if self._shape is None:
            raise ValueError("__len__() should return >= 0")
        return len(self._shape)

    def __getitem__(self, arg0):
        return self._shape[arg0]


class ITensor(Fixed):
    def __init__(self, value):
        kind = value.type.tensor_type
        self._name, self._dtype = value.name, DataType[_TYPES[kind.elem_type][0]]
        axes = [axis.dim_value if axis.HasField("dim_value") else -1 for axis in kind.shape.dim]
        self._shape = axes if kind.HasField("shape") else None

    name = _reads("_name")
    dtype = _reads("_dtype")
    shape = property(lambda self: Dims(self._shape))


class ILayer(Fixed):
    """One node of the model, or one of its weights."""

    def __init__(self, name, inputs, outputs, operator="Constant"):
        self._name, self._inputs, self._outputs, self._operator = name, inputs, outputs, operator
        self._type = LayerType[_LAYER_TYPES.get(operator, "IDENTITY")]

    name = _reads("_name")
    type = _reads("_type")
    num_inputs = property(lambda self: len(self._inputs))
    num_outputs = property(lambda self: len(self._outputs))

    def get_input(self, index):
        return self._inputs[index]

    def get_output(self, index):
        return self._outputs[index]


class INetworkDefinition(Fixed):
    def __init__(self):
        self._model = None

    num_layers = property(lambda self: len(self._layers()))

    def get_layer(self, index):
        return self._layers()[index]

    num_inputs = property(lambda self: len(self._inputs()))
    num_outputs = property(lambda self: len(self._model.graph.output))

    def get_input(self, index):
        return ITensor(self._inputs()[index])

    def get_output(self, index):
        return ITensor(self._model.graph.output[index])

    def _layers(self):
        import onnx

        graph = onnx.shape_inference.infer_shapes(self._model, data_prop=True).graph
        known = {value.name: ITensor(value) for value in (*graph.input, *graph.value_info, *graph.output)}
        constants = {
            tensor.name: ITensor(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
            for tensor in self._model.graph.initializer
        }
        known.update(constants)
        weights = [ILayer(name, [], [tensor]) for name, tensor in constants.items()]
        return weights + [
            ILayer(
                node.name,
                [known.get(name) for name in node.input],
                [known[name] for name in node.output if name in known],
                node.op_type,
            )
            for node in graph.node
        ]

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
        self._network, self._logger = network, _ready(logger, ILogger)
        self._errors = []

    num_errors = property(lambda self: len(self._errors))

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


class IOptimizationProfile(Fixed):
    def __init__(self):
        self._shapes = {}

    def set_shape(self, input, min, opt, max):
        if not all(0 <= a <= b <= c for a, b, c in zip(min, opt, max)):
            raise ValueError("the shapes of a profile must not shrink")
        self._shapes[input] = [list(min), list(opt), list(max)]


class IHostMemory(Fixed):
    def __init__(self, content):
        self._content = content

    def __bytes__(self):
        return self._content


class ITimingCache(Fixed):
    def __init__(self, content):
        self._content = content

    def serialize(self):
        return IHostMemory(self._content)


class IBuilderConfig(Fixed):
    _attributes = (
        "avg_timing_iterations",
        "profiling_verbosity",
        "int8_calibrator",
        "default_device_type",
        "DLA_core",
        "builder_optimization_level",
        "progress_monitor",
    )

    def __init__(self):
        self._flags = {BuilderFlag.TF32}
        self._profiles = []
        self._pools = {}
        self._timing_cache = None
        self._calibration_profile = None
        self.avg_timing_iterations = 1
        self.profiling_verbosity = ProfilingVerbosity.LAYER_NAMES_ONLY
        self.default_device_type = DeviceType.GPU
        self.DLA_core = -1

    def set_flag(self, flag):
        self._flags.add(BuilderFlag[flag.name])

    def clear_flag(self, flag):
        self._flags.discard(BuilderFlag[flag.name])

    def can_run_on_DLA(self, layer):  # noqa: N802  # as TensorRT has it
        if not {BuilderFlag.FP16, BuilderFlag.INT8} & self._flags:
            raise Misuse("what a DLA can run depends on precisions that are not set yet")
        return layer._operator in _DLA_OPERATORS

    def set_memory_pool_limit(self, pool, pool_size):
        self._pools[MemoryPoolType(pool)] = pool_size

    def add_optimization_profile(self, profile):
        self._profiles.append(profile)
        return len(self._profiles) - 1

    def create_timing_cache(self, serialized_timing_cache):
        if not isinstance(serialized_timing_cache, bytes):
            raise TypeError("a timing cache is made from bytes")
        return ITimingCache(serialized_timing_cache)

    def set_timing_cache(self, cache, ignore_mismatch):
        if cache._content and not cache._content.startswith(b"kernels of build "):
            return False
        self._timing_cache = cache
        return True


class EngineInspector(Fixed):
    """Types and sizes that depend on open axes are known for a context whose shapes are set, and not without."""

    _attributes = ("execution_context",)

    def __init__(self, engine):
        self._engine = engine
        self.execution_context = None

    def get_engine_information(self, format):
        if format != LayerInformationFormat.JSON:
            raise Misuse("only JSON is read")
        layers = self._engine._facts["layers"]
        if not self._engine._facts["detailed"]:
            return json.dumps({"Layers": [layer["Name"] for layer in layers]})
        if not self._knows_shapes():
            layers = [{**layer, "Inputs": list(map(_unknown, layer.get("Inputs", [])))} for layer in layers]
        return json.dumps({"Layers": layers, "Bindings": []})

    def _knows_shapes(self):
        context, inputs = self.execution_context, self._engine._inputs
        return all(-1 not in (tensor._shape if context is None else context._shape(tensor.name)) for tensor in inputs)


def _unknown(tensor):
    return {**tensor, "Dimensions": [-1], "Format/Datatype": "N/A due to dynamic shapes"}


def _reformat(side, name):
    return {"Name": f"Reformatting CopyNode for {side} Tensor 0 to {name}", "LayerType": "Reformat"}


def _engine_layers(model, flags, dla, quantized, metadata):
    """What an engine of ``model`` tells of its layers: convolutions fused with what follows, or parts on a DLA."""
    kind = "Row major linear FP32"
    if BuilderFlag.FP16 in flags:
        kind = "Channel major FP16 format where channel % 8 == 0"
    if BuilderFlag.INT8 in flags or quantized:
        kind = "Thirty-two wide channel vectorized row major Int8 format"
    runs = []
    for node in model.graph.node:
        on_dla = dla and node.op_type in _DLA_OPERATORS
        joins = runs and ((on_dla and runs[-1][0]) or (not dla and node.op_type == "Relu"))
        if joins:
            runs[-1][1].append(node)
        else:
            runs.append((on_dla, [node]))
    layers = []
    for on_dla, nodes in runs:
        names = [node.name for node in nodes]
        weighted = not on_dla and nodes[0].op_type in ("Conv", "Gemm", "MatMul")
        layer = {
            "Name": f"{{ForeignNode[{names[0]}...{names[-1]}]}}" if on_dla else " + ".join(names),
            "LayerType": "DLA" if on_dla else "CaskConvolution" if nodes[0].op_type == "Conv" else "NoOp",
            "Inputs": [{"Name": "x", "Format/Datatype": kind}],
            "Weights": {"Type": "Float", "Count": 8 if weighted else 0},
        }
        if nodes[0].op_type == "Conv" and not on_dla:
            layer["ParameterType"] = "Convolution"
        if metadata:
            layer["Metadata"] = "\x1e".join(f"[ONNX Layer: {name}]" for name in names)
        # A gather of channels runs in linear format, and half precision is kept in another.
        needs_linear = nodes[0].op_type == "Gather" and not on_dla and BuilderFlag.FP16 in flags
        layers += [_reformat("Input", names[0])] if needs_linear else []
        layers.append(layer)
        layers += [_reformat("Output", names[0])] if needs_linear else []
    if dla:
        layers.insert(0, {"Name": "x to nvm", "LayerType": "Reformat"})
    return layers


def _release(version):
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


def make_tensorrt(gpu, version="8.5.2.2", lacking=(), dla_cores=2):
    """Return the module ``tensorrt`` of that ``version``, which runs on ``gpu``, a :class:`support.fake_pycuda.Gpu`.

    ``lacking``: names such as ``IExecutionContext.set_tensor_address`` that an older release does not have.
    """
    module = types.ModuleType("tensorrt")
    module.__spec__ = ModuleSpec("tensorrt", None)
    module.__version__ = version
    module.builds = 0
    module.configs = []  # of all builds, as they were when the build began
    module.annotated = 0  # inferences that were slowed by annotating each layer
    release = _release(version)
    holders = weakref.WeakKeyDictionary()  # living builders and runtimes -> the logger that each was given

    def hold(holder, logger):
        _ready(logger, ILogger)
        if any(other is not logger for other in holders.values()):
            raise Misuse("TensorRT ignores a second logger while the first is in use")
        holders[holder] = logger
        return logger

    class Config(IBuilderConfig):
        _attributes = tuple(
            name
            for name in IBuilderConfig._attributes
            if not (name == "builder_optimization_level" and release < (8, 6))
            and not (name == "progress_monitor" and release < (10, 0))
            and not (name == "int8_calibrator" and release >= (11, 0))
        )

    if release < (11, 0):

        def set_calibration_profile(self, profile):
            self._calibration_profile = profile
            return True

        Config.set_calibration_profile = set_calibration_profile

    # Properties show on the class of the bindings.
    for attribute in Config._attributes:
        setattr(Config, attribute, None)
    Config.__name__ = "IBuilderConfig"

    class Builder(Fixed):
        if release < (11, 0):
            platform_has_tf32 = False
            platform_has_fast_fp16 = True
            platform_has_fast_int8 = True
        num_DLA_cores = dla_cores  # noqa: N815  # as TensorRT has it

        def __init__(self, logger):
            self._logger = hold(self, logger)
            gpu.check_current("cudaGetDevice")

        def create_network(self, flags=0):
            if release < (10, 0) and not flags & (1 << NetworkDefinitionCreationFlag.EXPLICIT_BATCH):
                raise Misuse("the ONNX parser needs a network with an explicit batch")
            return INetworkDefinition()

        def create_builder_config(self):
            return Config()

        def create_optimization_profile(self):
            return IOptimizationProfile()

        def build_serialized_network(self, network, config):
            module.builds += 1
            module.configs.append(config)
            try:
                return self._build(network, config)
            except _Refused as error:
                self._logger.log(Severity.ERROR, str(error))
                return None

        def _build(self, network, config):
            self._report_progress(config)
            dynamic = [tensor for tensor in map(network.get_input, range(network.num_inputs)) if -1 in tensor._shape]
            shapes = config._profiles[0]._shapes if config._profiles else {}
            if any(tensor.name not in shapes for tensor in dynamic):
                raise _Refused("dynamic inputs, but no optimization profile has been defined")
            content = network._model.SerializeToString()
            try:
                _session(content)
            except Exception as error:
                raise _Refused(str(error)) from error
            operators = {node.op_type for node in network._model.graph.node}
            quantized = "QuantizeLinear" in operators
            self._check_dla(network, config, shapes)
            if quantized and release < (11, 0) and BuilderFlag.INT8 not in config._flags:
                raise _Refused("the network has Q/DQ layers, and the INT8 flag is not set")
            if BuilderFlag.INT8 in config._flags and not quantized:
                self._calibrate(network, config, bool(dynamic))
            kernels = f"kernels of build {module.builds}".encode()
            if config._timing_cache is not None:
                kernels = config._timing_cache._content or kernels
                config._timing_cache._content = kernels
            on_dla = config.default_device_type == DeviceType.DLA
            flags = sorted(config._flags)
            facts = {
                "version": module.__version__,
                "shapes": shapes,
                "kernels": kernels.decode(),
                "dla_core": config.DLA_core if on_dla else None,
                "layers": _engine_layers(network._model, flags, on_dla, quantized, release >= (8, 6)),
                "detailed": config.profiling_verbosity == ProfilingVerbosity.DETAILED,
            }
            return IHostMemory(_pack(facts, content))

        def _report_progress(self, config):
            if getattr(config, "progress_monitor", None) is None:
                return
            monitor = _ready(config.progress_monitor, IProgressMonitor)
            monitor.phase_start("Building engine", None, 3)
            for step in range(3):
                if not monitor.step_complete("Building engine", step):
                    monitor.phase_finish("Building engine")
                    raise _Refused("Error Code 7: BuildCanceled (Build canceled by user)")
            monitor.phase_finish("Building engine")

        def _check_dla(self, network, config, shapes):
            if config.default_device_type != DeviceType.DLA:
                return
            if not 0 <= config.DLA_core < dla_cores:
                raise _Refused(f"DLA core {config.DLA_core} is out of range")
            if not {BuilderFlag.FP16, BuilderFlag.INT8} & config._flags:
                raise _Refused("the DLA requires FP16 or INT8 precision")
            if any(low != high for low, _, high in shapes.values()):
                raise _Refused("the DLA does not support dynamic dimensions")
            for node in network._model.graph.node:
                if node.op_type not in _DLA_OPERATORS and BuilderFlag.GPU_FALLBACK not in config._flags:
                    raise _Refused(f"{node.name}: not supported on DLA, and falling back to GPU is not enabled")

        def _calibrate(self, network, config, dynamic):
            if getattr(config, "int8_calibrator", None) is None:
                raise _Refused("INT8 is enabled without a calibrator and without dynamic ranges")
            calibrator = _ready(config.int8_calibrator, IInt8EntropyCalibrator2)
            tensor = network.get_input(0)
            shape = tensor._shape
            if dynamic:
                if config._calibration_profile is None:
                    raise _Refused("calibration with dynamic shapes needs a calibration profile")
                shape = config._calibration_profile._shapes[tensor.name][1]
            if calibrator.get_batch_size() != shape[0]:
                raise _Refused("the calibrator's batches are not of the profile's shape")
            table = calibrator.read_calibration_cache()
            if table is not None and bytes(table).startswith(_TABLE):
                return
            digest, size = hashlib.sha256(), int(np.prod(shape)) * np.dtype(_numpy_type(tensor)).itemsize
            seen = 0
            while True:
                addresses = calibrator.get_batch([tensor.name])
                if not addresses:
                    break
                digest.update(gpu.buffer(addresses[0], size, "calibration").tobytes())
                seen += 1
            if not seen:
                raise _Refused("calibration failed: there was no input")
            passing = bytearray(_TABLE + digest.hexdigest().encode())
            calibrator.write_calibration_cache(memoryview(passing))
            passing[:] = b"\0" * len(passing)  # the memory is TensorRT's, and holds for the call alone

    class Runtime(Fixed):
        _attributes = ("DLA_core",)

        def __init__(self, logger):
            self._logger = hold(self, logger)
            self.DLA_core = -1

        def deserialize_cuda_engine(self, serialized_engine):
            gpu.check_current("cudaGetDevice")
            unpacked = _unpack(serialized_engine)
            if unpacked is None:
                self._logger.log(Severity.ERROR, "Serialization assertion magicTagRead == kMAGIC_TAG failed.")
                return None
            if unpacked[0]["version"] != module.__version__:
                self._logger.log(Severity.ERROR, "The engine plan file is not compatible with this version of TensorRT")
                return None
            if unpacked[0]["dla_core"] not in (None, self.DLA_core):
                self._logger.log(Severity.ERROR, "the engine was built for a DLA core that is not set")
                return None
            return ICudaEngine(self, *unpacked)

    class ICudaEngine(Fixed):
        def __init__(self, runtime, facts, content):
            import onnx

            self._runtime, self._facts, self._content = runtime, facts, content
            network = INetworkDefinition()
            network._model = onnx.load_from_string(content)
            self._inputs = [network.get_input(index) for index in range(network.num_inputs)]
            self._outputs = [network.get_output(index) for index in range(network.num_outputs)]
            self._contexts = weakref.WeakSet()

        @property
        def num_io_tensors(self):
            return len(self._inputs) + len(self._outputs)

        if release < (11, 0):

            @property
            def device_memory_size(self):
                return 1_000_000

        if release >= (10, 0):

            @property
            def device_memory_size_v2(self):
                return 1_000_000

        def get_tensor_dtype(self, name):
            return next(tensor.dtype for tensor in [*self._inputs, *self._outputs] if tensor.name == name)

        def create_engine_inspector(self):
            return EngineInspector(self)

        def create_execution_context(self):
            from support.fake_pycuda import MemoryError

            try:
                return IExecutionContext(self)
            except MemoryError as error:
                self._runtime._logger.log(Severity.ERROR, f"Requested size was too large: {error}")
                return None

    class IExecutionContext(Fixed):
        _attributes = ("profiler", "nvtx_verbosity")

        def __init__(self, engine):
            self._engine = engine
            # Before TensorRT 10 no two contexts share an optimization profile; a second one is made, without any.
            self._has_profile = release >= (10, 0) or not engine._contexts
            engine._contexts.add(self)
            detailed = engine._facts["detailed"]
            self.nvtx_verbosity = ProfilingVerbosity.DETAILED if detailed else ProfilingVerbosity.LAYER_NAMES_ONLY
            self._session = _session(engine._content)
            self._shapes, self._addresses = {}, {}
            self._is_set_up = False
            self._activations = gpu.allocate(64)
            self.profiler = None

        def __del__(self):
            if hasattr(self, "_activations"):
                gpu.memory.pop(self._activations)
                if not gpu.stack:
                    gpu.faults.append("an execution context was freed without a current context")

        def set_input_shape(self, name, shape):
            if self._engine._facts["shapes"] and not self._has_profile:
                return self._fail("No optimization profile has been set: another context uses the only one")
            low, _, high = self._engine._facts["shapes"].get(name, [list(shape)] * 3)
            if not all(a <= b <= c for a, b, c in zip(low, shape, high)):
                return self._fail(f"Static dimension mismatch while setting input shape for {name}")
            self._shapes[name] = tuple(shape)
            return True

        def get_tensor_shape(self, name):
            return Dims(self._shape(name))

        def _shape(self, name):
            for tensor in self._engine._inputs:
                if tensor.name == name:
                    return self._shapes.get(name, tensor._shape)
            batch = next(iter(self._shapes.values()), (-1,))[0]
            tensor = next(each for each in self._engine._outputs if each.name == name)
            return tuple(batch if axis == -1 else axis for axis in tensor._shape)

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
                if -1 in self._shape(tensor.name):
                    return self._fail(f"the shape of {tensor.name} is not set")
                self._memory(tensor)
            stream = gpu.streams[stream_handle]
            if stream.captured is not None and not self._is_set_up:
                return self._fail("the first inference cannot be captured")
            if stream.captured is not None and self.profiler is not None:
                return self._fail("profiling cannot be captured")
            self._is_set_up = True
            module.annotated += self.nvtx_verbosity == ProfilingVerbosity.DETAILED
            stream.enqueue(self._run)
            if self.profiler is not None:
                _ready(self.profiler, IProfiler)
                stream.enqueue(self._report)
            return True

        def _report(self):
            for number, layer in enumerate(self._engine._facts["layers"], start=1):
                self.profiler.report_layer_time(layer["Name"], 0.001 * number)

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
            size = int(np.prod(self._shape(tensor.name))) * dtype.itemsize
            return gpu.buffer(self._addresses[tensor.name], size, "enqueueV3")

        def _array(self, tensor):
            return self._memory(tensor).view(_numpy_type(tensor)).reshape(self._shape(tensor.name))

        def _fail(self, message):
            self._engine._runtime._logger.log(Severity.ERROR, message)
            return False

    kinds = [Builder, Runtime, ICudaEngine, IExecutionContext, EngineInspector, Config, INetworkDefinition, ILayer]
    kinds += [ITensor, Dims, ParserError, OnnxParser, IOptimizationProfile, IHostMemory, ITimingCache, ILogger]
    kinds += [IProfiler, MemoryPoolType, ProfilingVerbosity, LayerInformationFormat, DataType, DeviceType, LayerType]
    if release >= (10, 0):
        kinds.append(IProgressMonitor)
    if release < (11, 0):
        kinds.append(IInt8EntropyCalibrator2)
    for kind in kinds:
        setattr(module, kind.__name__, kind)
    module.BuilderFlag = BuilderFlag if release < (11, 0) else StronglyTypedBuilderFlag
    module.NetworkDefinitionCreationFlag = NetworkDefinitionCreationFlag if release < (11, 0) else _NoCreationFlag
    for path in lacking:
        owner, name = path.split(".")
        delattr(getattr(module, owner), name)
    return module


class _Refused(Exception):
    """Why a build fails."""


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
