"""ONNX -> a serialized TensorRT engine.

The module ``trt`` is handed in: TensorRT from 8.5 on, or a module of the same names. What a release lacks is
asked of the module, never concluded from its version.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Callable, Iterator, List, NamedTuple, Optional, Sequence

from gdws_agent.backends.base import EngineSpec
from gdws_agent.backends.cuda.context import FreeMemory
from gdws_agent.backends.errors import typed
from gdws_agent.errors import BackendUnavailable, BuildFailed

from .calibrate import Calibration, check_calibration
from .dla import candidates_in_words, configure_dla
from .log import Log, failure
from .memory import check_memory, estimate_need
from .network import Network, read_network
from .options import Batches, BuilderOptions, has_levels
from .precision import precision_flags
from .progress import Deadline, monitor

if TYPE_CHECKING:
    from tensorrt import Builder, BuilderFlag, IBuilderConfig, IOptimizationProfile, ITimingCache

_OLDEST_HINT = "TensorRT 8.5 or later is needed: JetPack 5.1 (L4T r35.2) is the first with it"


class Plan(NamedTuple):
    """A serialized engine, the timing cache as the build left it, and what else is to be told, as name=value."""

    engine: bytes
    timing_cache: bytes
    notes: List[str]


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
    log: Log,
    model: bytes,
    spec: EngineSpec,
    *,
    timing_cache: bytes = b"",
    calibration: Optional[Calibration] = None,
    free_memory: Optional[Callable[[], FreeMemory]] = None,
    prepare: Optional[Callable[[Any], None]] = None,
) -> Plan:
    """Return the engine of ``model``, the bytes of an ONNX file, as ``spec`` and its options ask for it.

    ``timing_cache`` is one that an earlier build left, or empty. ``calibration`` is needed for int8 where the
    model is not quantised. ``free_memory`` is asked before the builder starts. ``prepare`` may change the
    builder's configuration, e.g. name a GPU that is not at hand.

    Raises:
        PrecisionUnsupported: the release or the GPU does not have it.
        BuildFailed: the model cannot be parsed or built, or not in time; TensorRT's own messages name the node.
        OutOfMemory: there is not enough memory.
    """
    options = BuilderOptions.of(spec)
    log.messages.take()  # what an engine that is alive complained of is not about this build
    builder = _start(trt, log)
    network = read_network(trt, builder, log, model, spec)
    flags = precision_flags(trt, builder, spec.precision, network.types, dla=options.dla_core is not None)
    if free_memory is not None:
        need = estimate_need(trt, network.definition, len(model), options, spec.precision)
        check_memory(need, free_memory())
    config = _make_config(trt, builder, options, flags)
    if network.has_open_batch:
        config.add_optimization_profile(_profile(builder, spec, options.batches))
    if prepare is not None:
        prepare(config)
    cache = _start_timing_cache(config, timing_cache)
    deadline = Deadline(spec.options.build_timeout_s)
    progress = monitor(trt, deadline)
    if progress is not None:
        config.progress_monitor = progress
    with _ranges(trt, builder, config, network, spec, calibration) as ranges_in_words:
        serialized = builder.build_serialized_network(network.definition, config)
    if serialized is None:
        if deadline.enforced:
            raise deadline.error()
        raise failure(log.messages, BuildFailed, "TensorRT could not build the engine")
    return Plan(
        engine=bytes(serialized),
        timing_cache=b"" if cache is None else bytes(cache.serialize()),
        notes=[*_in_words(trt, network, config, spec, flags), *ranges_in_words],
    )


def _start(trt: Any, log: Log) -> Builder:
    try:
        builder: Builder = trt.Builder(log.logger)
    except Exception as error:  # its constructor raises where CUDA does not start
        reason = log.messages.take() or error
        raise typed(RuntimeError(f"{reason}"), BackendUnavailable, "TensorRT's builder does not start") from error
    return builder


def _make_config(trt: Any, builder: Builder, options: BuilderOptions, flags: Sequence[BuilderFlag]) -> IBuilderConfig:
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_bytes)
    config.avg_timing_iterations = options.avg_timing_iterations
    # The engine then tells of each layer, so that the precision in force can be read back.
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    if has_levels(trt):
        config.builder_optimization_level = options.level
    # TensorFloat-32 is on unless it is turned off, and is not float32.
    config.clear_flag(trt.BuilderFlag.TF32)
    for flag in flags:
        config.set_flag(flag)
    configure_dla(trt, builder, config, options)
    return config


@contextmanager
def _ranges(
    trt: Any,
    builder: Builder,
    config: IBuilderConfig,
    network: Network,
    spec: EngineSpec,
    calibration: Optional[Calibration],
) -> Iterator[List[str]]:
    """For int8, have ranges found during one build, unless the model has its own; yield where they come from."""
    if spec.precision != "int8":
        yield []
        return
    if network.types.quantized:
        yield ["int8_ranges=of the model"]
        return
    calibration = check_calibration(trt, calibration)
    size = calibration.batch_size(None if network.has_open_batch else spec.batch_size)
    if network.has_open_batch:
        config.set_calibration_profile(_profile(builder, spec, Batches(size, size, size)))
    with calibration.calibrator(trt, spec.input.name, size) as calibrator:
        config.int8_calibrator = calibrator
        yield [f"int8_ranges=entropy calibration, {len(calibration)} inputs"]


def _in_words(
    trt: Any, network: Network, config: IBuilderConfig, spec: EngineSpec, flags: Sequence[BuilderFlag]
) -> List[str]:
    """Return what came of the options with this model."""
    words = [f"flags={'+'.join(flag.name for flag in flags)}"] if len(flags) > 1 else []
    if spec.options.dla_core is not None:
        words.append(candidates_in_words(trt, config, network.definition))
    if spec.options.batch_profile == "all" and not network.has_open_batch:
        words.append("batch_profile=each, for the model fixes its batch size")
    return words


def _profile(builder: Builder, spec: EngineSpec, batches: Batches) -> IOptimizationProfile:
    """Return the shapes that the engine must take; one that takes several is tuned for one of them."""
    profile = builder.create_optimization_profile()
    shapes: List[Any] = [(size, *spec.input.shape) for size in batches]  # TensorRT takes any sequence for its Dims
    profile.set_shape(spec.input.name, *shapes)
    return profile


def _start_timing_cache(config: IBuilderConfig, content: bytes) -> Optional[ITimingCache]:
    """Return the timing cache that the build will use; an empty one when ``content`` is not of this GPU and release."""
    for start in (content, b""):
        cache = config.create_timing_cache(start)
        if cache is not None and config.set_timing_cache(cache, False):
            return cache
    return None
