"""torch2trt: the network rebuilt from ONNX as a torch module, made into a TensorRT engine by torch2trt."""

from __future__ import annotations

import importlib
import re
import time
from typing import TYPE_CHECKING, Any, Dict, List, NamedTuple, Tuple

from gdws_agent.backends.base import EngineSpec, check_inputs
from gdws_agent.backends.cuda.device import spin_while_waiting
from gdws_agent.backends.cuda.presence import GPU_HINT, availability, tensorrt_version
from gdws_agent.backends.cuda.state import read_gpu_state
from gdws_agent.backends.engine_choices import unused_choices, workspace_mib
from gdws_agent.backends.errors import in_one_line, typed
from gdws_agent.backends.layer_times import Timed, layer_times
from gdws_agent.backends.packages import version_of
from gdws_agent.backends.tensorrt.inspect import counts_in_words, layer_precisions, precision_in_force
from gdws_agent.backends.torch.backend import has_tf32, load_torch, place, set_up
from gdws_agent.backends.torch.eager import INSTALL_HINT, PACKAGES, EagerNetwork, eager_network
from gdws_agent.backends.torch.engine import CudaTorchEngine, Placing, outputs_of
from gdws_agent.errors import (
    BackendError,
    BackendUnavailable,
    BuildFailed,
    OutOfMemory,
    PrecisionUnsupported,
    RunFailed,
)
from gdws_contract.measures import Build
from gdws_contract.profiles import LayerTime
from gdws_contract.rest import Availability

from .graph import native_form

if TYPE_CHECKING:
    import numpy as np

_SCOPE = (
    "host time of one call of torch2trt's module, from page-locked memory on the host, through the GPU, to "
    "page-locked memory on the host, synchronised; pre- and post-processing are not within"
)
_PRECISIONS = ["fp32", "tf32", "fp16", "int8"]
_HINTS = {
    **dict.fromkeys(PACKAGES, INSTALL_HINT),
    "torch2trt": "the dustynv/l4t-pytorch images have it; elsewhere: pip install "
    "git+https://github.com/NVIDIA-AI-IOT/torch2trt, with TensorRT below 11",
    "tensorrt": "on a Jetson it comes with the l4t images and JetPack, not from PyPI; see docs/jetson.md",
}
_GRAPHSURGEON_HINT = "torch2trt needs it for networks with a gather: pip install onnx-graphsurgeon"

#: Precision -> by how much the engine may differ from the module, over the largest value of an output. A call that
#: torch2trt lost changes nearly all of it; rounding is judged by parity, on real images.
_BOUNDS = {"fp32": 0.01, "tf32": 0.02, "fp16": 0.05, "int8": 0.5}

#: An output that is no larger is not judged by the last digits of it.
_NEARLY_ZERO = 1e-4

#: Choices of a request that :func:`_arguments` acts on.
_CHOICES = ("workspace_mib", "dla_core", "gpu_fallback")


class Torch2TrtBackend:
    """Converts by torch2trt's own converters where they suffice, else through ONNX; compares once with the module."""

    name = "torch2trt"
    capabilities = CudaTorchEngine.capabilities

    def probe(self) -> Availability:
        """Return availability; packages and device files are looked for, nothing is loaded."""
        detail = {"tensorrt": tensorrt_version() or ""}
        return availability(self.name, _HINTS, version_of("torch2trt"), _PRECISIONS, detail)

    def build(self, model: bytes, spec: EngineSpec) -> Torch2TrtEngine:
        """Return an engine that computes what the module does, as far as one batch of noise can tell."""
        torch, trt, torch2trt = load_torch(), _load("tensorrt"), _load("torch2trt")
        if not torch.cuda.is_available():
            raise BackendUnavailable("torch finds no GPU, and TensorRT needs one", hint=GPU_HINT)
        waiting = spin_while_waiting()
        _check_precision(torch, spec)
        began = time.perf_counter()
        set_up(torch, spec, "cuda")
        placing = Placing(torch.device("cuda"), torch.float32, torch.contiguous_format)
        network = place(eager_network(model, spec), placing)
        made = _Converter(torch, trt, torch2trt, placing, spec).convert(network)
        made.module.context.nvtx_verbosity = trt.ProfilingVerbosity.NONE
        counts = layer_precisions(_information(trt, made.module))
        built = Build(
            time_s=time.perf_counter() - began,
            size_bytes=made.module.engine.serialize().nbytes,
            precision=precision_in_force(spec.precision, counts),
            options=[
                "execution=TensorRT engine by torch2trt",
                f"tensorrt={trt.__version__}",
                *made.words,
                *counts_in_words(counts),
                "nvtx_verbosity=none",
                f"profile=batch {spec.batch_size} alone",
                "host_memory=page-locked",
                waiting,
                *read_gpu_state(spec.power_mode).in_words(),
                "cache=none",
                *unused_choices(spec.options, _CHOICES),
            ],
        )
        return Torch2TrtEngine(torch, trt, network._replace(module=made.module), placing, built, spec)


class Torch2TrtEngine(CudaTorchEngine):
    """torch2trt's module, a TensorRT engine that takes and gives torch tensors."""

    profiler = "TensorRT IProfiler"

    def __init__(
        self, torch: Any, trt: Any, network: EagerNetwork, placing: Placing, build: Build, spec: EngineSpec
    ) -> None:
        super().__init__(torch, network, placing, build, spec, _SCOPE)
        self._trt = trt

    def profile(self, inputs: np.ndarray, iterations: int) -> List[LayerTime]:
        """Return TensorRT's layers, in an execution context of their own; names have the ONNX nodes' where known.

        It takes the place of the one that is timed, which is made anew afterwards: before TensorRT 10 an engine with
        one optimisation profile has room for one context.
        """
        network = self._alive()
        check_inputs(inputs, self._spec)
        module: Any = network.module
        profiler = _make_profiler(self._trt)
        try:
            self._renew_context(module)
            images = self._torch.tensor(inputs).to(device=self._placing.device)
            with self._torch.inference_mode():
                module(images)  # the first run allocates
                module.context.profiler = profiler
                for _ in range(iterations):
                    module(images)
                    self._torch.cuda.current_stream().synchronize()
        except Exception as error:
            raise typed(error, RunFailed, "the engine could not be profiled") from error
        finally:
            self._renew_context(module)
        names = _SourceNames(network)
        layers = [Timed(names.restored(name), None, total) for name, total in profiler.totals_ms.items()]
        return layer_times(layers, iterations)

    def _renew_context(self, module: Any) -> None:
        module.context = None
        context = module.engine.create_execution_context()
        if context is None:
            raise RunFailed("TensorRT could not make an execution context, and printed why to the agent's log")
        context.nvtx_verbosity = self._trt.ProfilingVerbosity.NONE
        module.context = context


class _Made(NamedTuple):
    """torch2trt's module, and how it was made as name=value."""

    module: Any
    words: List[str]


class _Converter:
    """Makes a torch2trt module of a network on the GPU, one way or the other."""

    def __init__(self, torch: Any, trt: Any, torch2trt: Any, placing: Placing, spec: EngineSpec) -> None:
        self._torch = torch
        self._torch2trt = torch2trt
        self._placing = placing
        self._spec = spec
        self._noise = _noise(torch, placing, spec, seed=1)
        self._arguments, self._words = _arguments(trt, spec)

    def convert(self, network: EagerNetwork) -> _Made:
        """Return what computes the same as ``network``.

        Raises:
            BuildFailed: neither way gives it. OutOfMemory: as it says.
        """
        expected = self._run(network)
        native, reason = native_form(self._torch, network, self._converters())
        if native is not None:
            try:
                module = self._made(native, use_onnx=False)
                self._compare(network._replace(module=module), expected)
                return _Made(module, ["conversion=native", *self._words])
            except OutOfMemory:
                raise
            except BackendError as error:
                reason = f"natively {error.message}"
        module = self._made(network, use_onnx=True)
        self._compare(network._replace(module=module), expected)
        return _Made(module, [f"conversion=onnx, {reason}", *self._words])

    def _converters(self) -> List[str]:
        """Return the functions that torch2trt converts; it lists those, too, that it only warns of."""
        return [name for name, converter in self._torch2trt.CONVERTERS.items() if converter["is_real"]]

    def _made(self, network: EagerNetwork, use_onnx: bool) -> Any:
        # Other noise than the engine is compared on: what torch2trt takes for a constant has the value it has here.
        example = _noise(self._torch, self._placing, self._spec, seed=0)
        arguments = {**self._arguments, "output_names": list(network.outputs)}
        if self._spec.precision == "int8":
            arguments["int8_calib_dataset"] = _calibration(self._torch, self._placing, self._spec)
        try:
            with self._torch.no_grad():
                made = self._torch2trt.torch2trt(
                    network.module, [example], use_onnx=use_onnx, keep_network=False, **arguments
                )
        except ImportError as error:
            raise BuildFailed(f"torch2trt lacks a package: {error}", hint=_GRAPHSURGEON_HINT) from error
        except Exception as error:
            raise typed(error, BuildFailed, "torch2trt could not convert the network") from error
        if made.engine is None or made.context is None:
            raise BuildFailed(
                "torch2trt made no engine: TensorRT refused the network, and printed why to the agent's log",
                hint="the backend tensorrt builds from the same ONNX file, and reports what TensorRT says",
            )
        return made

    def _compare(self, network: EagerNetwork, expected: List[Any]) -> None:
        """Raise BuildFailed unless ``network`` gives ``expected``, as far as the precision lets it."""
        bound = _BOUNDS[self._spec.precision]
        for output, found, right in zip(self._spec.outputs, self._run(network), expected):
            if found.shape != right.shape:
                raise BuildFailed(f"the engine gives {tuple(found.shape)}, the module {tuple(right.shape)}")
            if not right.is_floating_point() or not bool(self._torch.isfinite(right).all()):
                continue  # a decision on noise may tip over; the rest is the network's own doing, which parity reports
            difference = _difference(found, right)
            if not difference <= bound:
                raise BuildFailed(
                    f"the engine computes something else than the module: {output.name} is off by {difference:.3g} of "
                    f"its largest value, allowed is {bound:g}",
                    hint="the backend tensorrt builds from the same ONNX file without torch2trt",
                )

    def _run(self, network: EagerNetwork) -> List[Any]:
        try:
            with self._torch.no_grad():
                outputs = outputs_of(self._torch, network, network.module(self._noise), self._spec)
                return [output.to(device="cpu") for output in outputs]
        except Exception as error:
            raise typed(error, BuildFailed, "the network could not be run") from error


class _SourceNames:
    """Gives TensorRT's layers, named by torch2trt after modules, the names of the ONNX nodes that these stand for."""

    def __init__(self, network: EagerNetwork) -> None:
        targets = sorted(network.nodes, key=len, reverse=True)
        self._nodes = network.nodes
        self._pattern = re.compile("|".join(re.escape(target) for target in targets)) if targets else None

    def restored(self, name: str) -> str:
        """Return the ``name`` of a layer with the targets of calls replaced by the names of their nodes."""
        if self._pattern is None:
            return name
        return self._pattern.sub(lambda found: self._nodes[found[0]].name, name)


def _difference(found: Any, expected: Any) -> float:
    """Return the largest |difference| over the largest |expected value|, or over what rounding leaves of zero."""
    scale = max(float(expected.abs().max()), _NEARLY_ZERO)
    return float((found.float() - expected.float()).abs().max()) / scale


def _load(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except Exception as error:  # also what a broken installation raises: a missing library, an API that is gone
        raise BackendUnavailable(f"{module} cannot be loaded: {in_one_line(error)}", hint=_HINTS[module]) from error


def _check_precision(torch: Any, spec: EngineSpec) -> None:
    """torch2trt has no switch for TF32, which TensorRT uses on every GPU that has it."""
    precision = spec.precision
    if precision not in _PRECISIONS:
        raise PrecisionUnsupported(
            f"torch2trt does not run in {precision}", hint=f"it runs in {', '.join(_PRECISIONS)}"
        )
    if precision == "fp32" and has_tf32(torch):
        raise PrecisionUnsupported("torch2trt leaves TF32 on, and this GPU has it", hint="use tf32 instead of fp32")
    if precision == "tf32" and not has_tf32(torch):
        raise PrecisionUnsupported("this GPU has no TF32", hint="it came with Ampere (Orin); ask for fp32 or fp16")
    if precision == "int8" and (spec.calibration is None or len(spec.calibration) < spec.batch_size):
        raise PrecisionUnsupported(
            f"int8 needs at least a batch of {spec.batch_size} inputs to find ranges from",
            hint="pack a bundle with more verification images, or use a smaller batch",
        )


def _arguments(trt: Any, spec: EngineSpec) -> Tuple[Dict[str, Any], List[str]]:
    """Return what torch2trt is told besides the network, and the same as name=value."""
    options = spec.options
    arguments: Dict[str, Any] = {
        "input_names": [spec.input.name],
        "fp16_mode": spec.precision in ("fp16", "int8"),
        "int8_mode": spec.precision == "int8",
        "gpu_fallback": options.gpu_fallback,
    }
    words = ["fp16=where it is faster than int8"] if spec.precision == "int8" else []
    mib = workspace_mib(options)
    arguments["max_workspace_size"] = mib * 2**20
    # torch2trt sets it by this attribute, and sets nothing where TensorRT has it no more: 10 and later.
    used = hasattr(trt.IBuilderConfig, "max_workspace_size")
    words.append(f"workspace_mib={mib}" + ("" if used else f", not used by torch2trt on TensorRT {trt.__version__}"))
    if options.dla_core is not None:
        arguments.update(default_device_type=trt.DeviceType.DLA, dla_core=options.dla_core)
        words += [f"dla_core={options.dla_core}", f"gpu_fallback={options.gpu_fallback}"]
    return arguments, words


def _information(trt: Any, module: Any) -> str:
    """Return what torch2trt's ``module``, which has run, tells of its layers, as JSON."""
    inspector = module.engine.create_engine_inspector()
    inspector.execution_context = module.context
    information: str = inspector.get_engine_information(trt.LayerInformationFormat.JSON)
    return information


def _noise(torch: Any, placing: Placing, spec: EngineSpec, seed: int) -> Any:
    """Return a batch in [0, 1), as images are, on the device."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand((spec.batch_size, *spec.input.shape), generator=generator)
    return images.to(device=placing.device, dtype=getattr(torch, spec.input.dtype))


def _calibration(torch: Any, placing: Placing, spec: EngineSpec) -> List[List[Any]]:
    """Return the calibration inputs in whole batches, as torch2trt takes a data set."""
    assert spec.calibration is not None
    whole = len(spec.calibration) // spec.batch_size * spec.batch_size
    images = torch.tensor(spec.calibration[:whole]).to(device=placing.device)
    return [[batch.contiguous()] for batch in images.split(spec.batch_size)]


def _make_profiler(trt: Any) -> Any:
    """Return a profiler of TensorRT's that sums up, in ``totals_ms``, the time of each layer by its name."""

    class Profiler(trt.IProfiler):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProfiler.__init__(self)  # the binding refuses objects whose own part was not made
            self.totals_ms: Dict[str, float] = {}

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            self.totals_ms[layer_name] = self.totals_ms.get(layer_name, 0.0) + ms

    return Profiler()
