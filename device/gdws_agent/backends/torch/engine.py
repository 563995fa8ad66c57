"""A torch module as an engine: on the CPU, or on the GPU with page-locked memory and events around each part."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, List, NamedTuple, Optional, Type

from gdws_agent.backends.base import Capabilities, DeviceTimes, EngineSpec, Step, check_inputs
from gdws_agent.backends.errors import typed
from gdws_agent.backends.layer_times import layer_times
from gdws_agent.errors import RunFailed
from gdws_contract.measures import Build
from gdws_contract.profiles import LayerTime

from .eager import EagerNetwork
from .profile import Clock, cuda_clock, host_clock, profile_calls

if TYPE_CHECKING:
    import numpy as np
    import torch


class Placing(NamedTuple):
    """Where a module lies and how: device, type of the floating-point inputs, memory format."""

    device: torch.device
    dtype: torch.dtype
    layout: torch.memory_format


def outputs_of(torch: Any, network: EagerNetwork, given: Any, spec: EngineSpec) -> List[torch.Tensor]:
    """Return the outputs of ``spec`` in its types, from what the module of ``network`` has ``given``.

    Raises:
        RunFailed: one is not a floating-point number where the spec says so, or the other way round.
    """
    tensors = dict(zip(network.outputs, [given] if isinstance(given, torch.Tensor) else given))
    found = []
    for output in spec.outputs:
        tensor, dtype = tensors[output.name], getattr(torch, output.dtype)
        if tensor.is_floating_point() != dtype.is_floating_point:
            raise RunFailed(f"the module gives {tensor.dtype} for {output.name!r}, not {dtype}")
        found.append(tensor.to(dtype=dtype))
    return found


class TorchEngine:
    """A module on the CPU, and what it was made for. ``scope`` says what the time of a step covers."""

    capabilities = Capabilities(layer_profiles=True)
    profiler = "torch forward hooks, host clock"

    def __init__(
        self, torch: Any, network: EagerNetwork, placing: Placing, build: Build, spec: EngineSpec, scope: str
    ) -> None:
        self.build = build
        self.scope = scope
        self._torch = torch
        self._network: Optional[EagerNetwork] = network
        self._placing = placing
        self._spec = spec

    def __enter__(self) -> TorchEngine:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self._network = None

    def bind(self, inputs: np.ndarray) -> Step:
        """Return a step that runs the module on a copy of ``inputs``."""
        self._alive()
        check_inputs(inputs, self._spec)
        try:
            images = self._torch.tensor(inputs)
        except Exception as error:
            raise typed(error, RunFailed, "the inputs could not be copied") from error

        def step() -> List[np.ndarray]:
            network = self._alive()
            try:
                with self._torch.inference_mode():
                    outputs = self._outputs(network, self._prepared(images))
                    return [output.contiguous().numpy() for output in outputs]
            except Exception as error:
                raise typed(error, RunFailed, "the module could not be run") from error

        return step

    def profile(self, inputs: np.ndarray, iterations: int) -> List[LayerTime]:
        """Return the nodes of the ONNX file as they were called, without the copies of inputs and outputs."""
        network = self._alive()
        check_inputs(inputs, self._spec)
        try:
            images = self._torch.tensor(inputs).to(device=self._placing.device)
            with self._torch.inference_mode():
                prepared = self._prepared(images)
                timed = profile_calls(network, lambda: network.module(prepared), iterations, self._clock())
        except Exception as error:
            raise typed(error, RunFailed, "the module could not be profiled") from error
        return layer_times(timed, iterations)

    def _outputs(self, network: EagerNetwork, prepared: torch.Tensor) -> List[torch.Tensor]:
        """Run ``network`` and return the outputs of the spec, in its types."""
        return outputs_of(self._torch, network, network.module(prepared), self._spec)

    def _prepared(self, images: torch.Tensor) -> torch.Tensor:
        """Return ``images``, on the device already, in the type and memory format of the module."""
        dtype = self._placing.dtype if images.is_floating_point() else images.dtype
        return images.to(dtype=dtype, memory_format=self._placing.layout)

    def _clock(self) -> Clock:
        return host_clock()

    def _alive(self) -> EagerNetwork:
        if self._network is None:
            raise RunFailed("the engine was freed")
        return self._network


class CudaTorchEngine(TorchEngine):
    """The same on a GPU: what goes there and back lies in page-locked memory, and every step is synchronised."""

    capabilities = Capabilities(layer_profiles=True, device_times=True, on_device=True)
    profiler = "torch forward hooks, CUDA events"

    def __init__(
        self, torch: Any, network: EagerNetwork, placing: Placing, build: Build, spec: EngineSpec, scope: str
    ) -> None:
        super().__init__(torch, network, placing, build, spec, scope)
        self._events = tuple(torch.cuda.Event(enable_timing=True) for _ in range(4))
        self._ran = False

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        super().__exit__(kind, error, trace)
        self._torch.cuda.empty_cache()

    def bind(self, inputs: np.ndarray) -> Step:
        """Return a step with page-locked memory of its own for a copy of ``inputs``, and for the outputs."""
        self._alive()
        check_inputs(inputs, self._spec)
        torch = self._torch
        try:
            copy = torch.tensor(inputs)
            sent = torch.empty(copy.shape, dtype=copy.dtype, pin_memory=True)
            sent.copy_(copy)
            received = [
                torch.empty((self._spec.batch_size, *output.shape), dtype=getattr(torch, output.dtype), pin_memory=True)
                for output in self._spec.outputs
            ]
        except Exception as error:
            raise typed(error, RunFailed, "no page-locked memory for inputs and outputs") from error

        def step() -> List[np.ndarray]:
            network = self._alive()
            try:
                with torch.inference_mode():
                    self._run(network, sent, received)
            except Exception as error:
                raise typed(error, RunFailed, "the module could not be run") from error
            return [each.numpy() for each in received]

        return step

    def device_times(self) -> DeviceTimes:
        """Return the times of the last step, of whichever binding, by the GPU's events."""
        self._alive()
        if not self._ran:
            raise RunFailed("no step has run")
        start, arrived, computed, end = self._events
        return DeviceTimes(start.elapsed_time(arrived), arrived.elapsed_time(computed), computed.elapsed_time(end))

    def _run(self, network: EagerNetwork, sent: torch.Tensor, received: List[torch.Tensor]) -> None:
        start, arrived, computed, end = self._events
        start.record()
        images = sent.to(device=self._placing.device, non_blocking=True)
        arrived.record()
        outputs = self._outputs(network, self._prepared(images))
        computed.record()
        for rows, output in zip(received, outputs):
            if output.shape != rows.shape:
                raise RunFailed(f"the module gives {tuple(output.shape)}, not {tuple(rows.shape)}")
            rows.copy_(output, non_blocking=True)
        end.record()
        self._torch.cuda.current_stream().synchronize()
        self._ran = True

    def _clock(self) -> Clock:
        return cuda_clock(self._torch)
