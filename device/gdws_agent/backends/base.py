"""What the measuring process asks of a backend.

A :class:`Backend` makes an ONNX model into an :class:`Engine`; ``engine.bind(inputs)`` gives a :data:`Step`, and
each call of it runs one inference. Parity and timing go through the same steps, so that what was checked is
what is timed. Every backend passes one test suite, tests/device/backends/test_conformance.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Callable, ContextManager, List, NamedTuple, Optional, Protocol, Sequence, Tuple

from gdws_contract.engines import EngineOptions
from gdws_contract.manifest import OutputSpec, TensorSpec
from gdws_contract.measures import Build
from gdws_contract.profiles import LayerTime
from gdws_contract.rest import Availability

if TYPE_CHECKING:  # the agent's own process probes backends, and has no use for numpy
    import numpy as np

#: Runs one inference on the inputs it was bound to, and returns when the outputs, (batch, ...) each and in the order
#: of the spec, can be read on the host. They hold until its next call. A runtime may use another width of a type.
Step = Callable[[], "Sequence[np.ndarray]"]


@dataclass(frozen=True)
class EngineSpec:
    """What an engine is built for.

    ``threads`` is for backends that run on the CPU. ``cache_dir`` is where a backend may keep what it built.
    ``batch_sizes`` are all that will be asked for, this engine's own among them; ``calibration`` (N, C, H, W) are
    inputs that INT8 ranges may be found from. ``power_mode`` is the board's, where the request sets it.
    """

    precision: str
    batch_size: int
    input: TensorSpec
    outputs: Tuple[OutputSpec, ...]
    threads: int
    cache_dir: Path
    options: EngineOptions = field(default_factory=EngineOptions)
    batch_sizes: Tuple[int, ...] = ()
    calibration: Optional[np.ndarray] = None
    power_mode: Optional[str] = None


@dataclass(frozen=True)
class Capabilities:
    """Optional capabilities: those of an engine, or those that the engines of a backend may have.

    Declared, so that callers need neither hasattr nor a list of backend names.
    """

    #: The engine is a :class:`LayerProfiler`.
    layer_profiles: bool = False
    #: The engine is a :class:`DeviceTimer`.
    device_times: bool = False
    #: The engine holds memory of a GPU or an accelerator.
    on_device: bool = False
    #: The engine is a :class:`MemoryTeller`.
    device_memory: bool = False
    #: The build reports the precision of each layer.
    layer_precisions: bool = False
    #: trtexec runs the same engines, so that its times can be compared.
    matches_trtexec: bool = False


class Engine(ContextManager["Engine"], Protocol):
    """A model ready to run at one batch size. Leaving its context frees it; its steps must not be run afterwards."""

    @property
    def build(self) -> Build:
        """How it was built, with the precision in force and the settings that affect its speed."""

    @property
    def capabilities(self) -> Capabilities:
        """Its optional capabilities."""

    @property
    def scope(self) -> str:
        """A description of what the time of one step covers."""

    def bind(self, inputs: np.ndarray) -> Step:
        """Return a step that runs on ``inputs``: (batch, ...), the spec's batch size, shape and type, C order.

        The caller leaves ``inputs`` unchanged while it uses the step. Steps raise RunFailed or OutOfMemory.

        Raises:
            ValueError: the inputs are not of that shape, type or order.
            RunFailed: the engine was freed. OutOfMemory: there is no room for its buffers.
        """


class DeviceTimes(NamedTuple):
    """One step by the device's own clock: input to the device, computing, output to the host.

    Fields as trtexec's H2D latency, GPU compute time and D2H latency; their sum is its latency.
    """

    h2d_ms: float
    compute_ms: float
    d2h_ms: float


class DeviceTimer(Engine, Protocol):
    """An engine whose runtime has events on the device."""

    def device_times(self) -> DeviceTimes:
        """Return the times of the engine's last step. The call takes time itself, so keep it out of the host's timing.

        Raises:
            RunFailed: no step has run, or the engine was freed.
        """


class DeviceMemory(NamedTuple):
    """Memory of a GPU or an accelerator; ``method`` describes what the figure covers."""

    peak_bytes: int
    method: str


class MemoryTeller(Engine, Protocol):
    """An engine whose runtime reports the device memory that it uses."""

    def device_memory(self) -> Optional[DeviceMemory]:
        """Return the most that the engine uses; None where this release of the runtime does not report it.

        Raises:
            RunFailed: the engine was freed.
        """


class LayerProfiler(Engine, Protocol):
    """An engine whose runtime can time single layers."""

    #: The name of the profiler.
    profiler: str

    def profile(self, inputs: np.ndarray, iterations: int) -> List[LayerTime]:
        """Return the layers in the order in which they run, times averaged over ``iterations`` inferences.

        ``inputs`` are as for :meth:`Engine.bind`. ``LayerTime.source`` is left to the caller where names are ONNX
        node names; a backend that knows better fills it in.

        Raises:
            RunFailed, OutOfMemory: as they say.
        """


class Backend(Protocol):
    """One runtime."""

    name: str
    capabilities: Capabilities

    def probe(self) -> Availability:
        """Return whether the runtime can be used here, and if not, why, and how to install it.

        Cheap: it looks for packages and devices without loading the runtime. A broken installation
        is reported by :meth:`build`.
        """

    def build(self, model: bytes, spec: EngineSpec) -> Engine:
        """Return an engine of ``model``, the bytes of an ONNX file.

        Raises:
            BackendUnavailable: the runtime cannot be used here.
            PrecisionUnsupported, BuildFailed, OutOfMemory: as they say.
        """


def check_inputs(inputs: np.ndarray, spec: EngineSpec) -> None:
    """Raise ValueError unless ``inputs`` are what an engine of ``spec`` is bound to."""
    shape = (spec.batch_size, *spec.input.shape)
    if inputs.shape != shape or inputs.dtype != spec.input.dtype or not inputs.flags.c_contiguous:
        raise ValueError(
            f"inputs are {inputs.dtype} {inputs.shape}, C order {inputs.flags.c_contiguous}; "
            f"the engine takes {spec.input.dtype} {shape} in C order"
        )
