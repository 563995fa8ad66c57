"""ONNX -> a serialized TensorRT engine.

The module ``trt`` is handed in: TensorRT from 8.5 to 10, or a module of the same names. What a release lacks is
asked of the module, never concluded from its version.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, List, NamedTuple, Optional

from .base import EngineSpec
from .errors import BackendUnavailable, BuildFailed, UnsupportedPrecision, typed
from .interface import Tensor, check_interface
from .tensorrt_log import Messages, failure, make_logger

#: Precision -> the builder's flag for it; float32 is the absence of all of them.
_FLAGS = {"fp32": None, "tf32": "TF32", "fp16": "FP16"}
#: Precision -> the builder's property that tells whether the GPU has it, where the builder has that property.
_HARDWARE = {"tf32": "platform_has_tf32", "fp16": "platform_has_fast_fp16"}
PRECISIONS = list(_FLAGS)

_NUMPY_TYPES = {"FLOAT": "float32", "HALF": "float16", "UINT8": "uint8", "INT8": "int8", "INT32": "int32"}
_OLDEST_HINT = "TensorRT 8.5 or later is needed: JetPack 5.1 (L4T r35.2) is the first with it"


@dataclass(frozen=True)
class BuilderOptions:
    """What shapes the choice of kernels. Fixed, so that it does not depend on what else the machine is doing.

    ``avg_timing_iterations``: runs per kernel tried, as many as trtexec makes; more make the choice steadier.
    """

    workspace_bytes: int = 2**30
    optimization_level: int = 3
    avg_timing_iterations: int = 8

    def in_words(self, trt: Any) -> List[str]:
        """Return those that this release of TensorRT has, as name=value."""
        words = [f"workspace_mib={self.workspace_bytes // 2**20}", f"avg_timing={self.avg_timing_iterations}"]
        if hasattr(trt.IBuilderConfig, "builder_optimization_level"):
            words.append(f"builder_optimization_level={self.optimization_level}")
        return words


class Plan(NamedTuple):
    """A serialized engine, and the timing cache as the build left it."""

    engine: bytes
    timing_cache: bytes


def check_release(trt: Any) -> None:
    """Pass a TensorRT that has what this release uses.

    Raises:
        BackendUnavailable: it is older than 8.5.
    """
    needed = [
        ("Builder", "build_serialized_network"),
        ("IBuilderConfig", "set_memory_pool_limit"),
        ("ICudaEngine", "num_io_tensors"),
        ("IExecutionContext", "set_tensor_address"),
        ("IExecutionContext", "execute_async_v3"),
    ]
    missing = [f"{owner}.{name}" for owner, name in needed if not hasattr(getattr(trt, owner, None), name)]
    if missing:
        version = getattr(trt, "__version__", "of unknown version")
        raise BackendUnavailable(f"TensorRT {version} is too old: it lacks {', '.join(missing)}", hint=_OLDEST_HINT)


def build_plan(
    trt: Any,
    model: bytes,
    spec: EngineSpec,
    options: BuilderOptions,
    timing_cache: bytes = b"",
    prepare: Optional[Callable[[Any], None]] = None,
) -> Plan:
    """Return the engine of ``model``, the bytes of an ONNX file, for the one batch size of ``spec``.

    ``timing_cache`` is one that an earlier build left, or empty. ``prepare`` may change the builder's
    configuration, e.g. name a GPU that is not at hand.

    Raises:
        UnsupportedPrecision: the release or the GPU does not have it.
        BuildFailed: the model cannot be parsed or built; TensorRT's own messages name the node.
        OutOfMemory: memory does not suffice.
    """
    messages = Messages()
    logger = make_logger(trt, messages)
    try:
        builder = trt.Builder(logger)
    except Exception as error:  # its constructor raises where CUDA does not start
        reason = messages.take() or error
        raise typed(RuntimeError(f"{reason}"), BackendUnavailable, "TensorRT's builder does not start") from error
    flag = precision_flag(trt, builder, spec.precision)
    network = builder.create_network(_network_flags(trt))
    _parse(trt, network, logger, messages, model)
    inputs = [network.get_input(index) for index in range(network.num_inputs)]
    outputs = [network.get_output(index).name for index in range(network.num_outputs)]
    check_interface([_tensor(each) for each in inputs], outputs, spec)

    config = builder.create_builder_config()
    _configure(trt, config, options)
    # TensorFloat-32 is on unless it is turned off, and is not float32.
    config.clear_flag(trt.BuilderFlag.TF32)
    if flag is not None:
        config.set_flag(flag)
    if any(axis < 0 for axis in inputs[0].shape):
        _fix_shape(builder, config, spec)
    if prepare is not None:
        prepare(config)
    cache = _start_timing_cache(config, timing_cache)
    serialized = builder.build_serialized_network(network, config)
    if serialized is None:
        raise failure(messages, BuildFailed, "TensorRT could not build the engine")
    return Plan(bytes(serialized), b"" if cache is None else bytes(cache.serialize()))


def precision_flag(trt: Any, builder: Any, precision: str) -> Optional[Any]:
    """Return the builder's flag for ``precision``; None for float32.

    Raises:
        UnsupportedPrecision: this backend, release or GPU does not have it.
    """
    if precision not in _FLAGS:
        raise UnsupportedPrecision(
            f"tensorrt does not build in {precision}", hint=f"it builds in {', '.join(PRECISIONS)}"
        )
    name = _FLAGS[precision]
    if name is None:
        return None
    flag = getattr(trt.BuilderFlag, name, None)
    if flag is None:
        raise UnsupportedPrecision(
            f"TensorRT {trt.__version__} has no flag for {precision}: it takes the types as the model has them",
            hint="build in fp32, or with TensorRT 8.5 to 10",
        )
    if precision in _HARDWARE and not getattr(builder, _HARDWARE[precision], True):
        raise UnsupportedPrecision(f"this GPU has no fast {precision}", hint="use fp32 or fp16; TF32 came with Orin")
    return flag


def _network_flags(trt: Any) -> int:
    """Explicit batch: required by TensorRT 8, without effect in 10, and gone after it."""
    explicit = getattr(trt.NetworkDefinitionCreationFlag, "EXPLICIT_BATCH", None)
    return 0 if explicit is None else 1 << int(explicit)


def _parse(trt: Any, network: Any, logger: Any, messages: Messages, model: bytes) -> None:
    parser = trt.OnnxParser(network, logger)
    if parser.parse(model):
        return
    found = [_in_words(parser.get_error(index)) for index in range(parser.num_errors)]
    logged = messages.take()
    raise BuildFailed(
        f"TensorRT cannot read the model: {'; '.join(found) or 'no reason given'}"
        + (f" (its log: {logged})" if logged else ""),
        hint="bundles carry ONNX opset 17 and IR version 8 at most; each operator must be one that TensorRT has",
    )


def _in_words(error: Any) -> str:
    """Return one error of the parser with the node that it is about; older releases tell the number alone."""
    text = " ".join(str(error.desc()).split())
    name = error.node_name() if hasattr(error, "node_name") else ""
    operator = error.node_operator() if hasattr(error, "node_operator") else ""
    if name or operator:
        return f"node {name!r} ({operator}): {text}"
    return f"node {error.node()}: {text}" if error.node() >= 0 else text


def _tensor(tensor: Any) -> Tensor:
    dtype = _NUMPY_TYPES.get(tensor.dtype.name, tensor.dtype.name)
    return Tensor(tensor.name, dtype, [None if axis < 0 else int(axis) for axis in tensor.shape])


def _configure(trt: Any, config: Any, options: BuilderOptions) -> None:
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_bytes)
    config.avg_timing_iterations = options.avg_timing_iterations
    # The engine then tells of each layer, so that the precision in force can be read back.
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    if hasattr(trt.IBuilderConfig, "builder_optimization_level"):
        config.builder_optimization_level = options.optimization_level


def _fix_shape(builder: Any, config: Any, spec: EngineSpec) -> None:
    """One engine for each batch size: a profile that allows more is tuned for one of them."""
    shape = (spec.batch_size, *spec.input.shape)
    profile = builder.create_optimization_profile()
    profile.set_shape(spec.input.name, shape, shape, shape)
    config.add_optimization_profile(profile)


def _start_timing_cache(config: Any, content: bytes) -> Optional[Any]:
    """Return the timing cache that the build will use; an empty one when ``content`` is not of this GPU and release."""
    for start in (content, b""):
        cache = config.create_timing_cache(start)
        if cache is not None and config.set_timing_cache(cache, False):
            return cache
    return None
