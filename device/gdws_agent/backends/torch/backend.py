"""PyTorch, eager: the network rebuilt from ONNX, run operator by operator, as the paper measured it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, List

from gdws_agent.backends.base import EngineSpec
from gdws_agent.backends.cuda.device import spin_while_waiting
from gdws_agent.backends.cuda.presence import GPU_HINT, find_gpu
from gdws_agent.backends.engine_choices import unused_choices
from gdws_agent.backends.errors import typed
from gdws_agent.backends.packages import is_installed, release, version_of
from gdws_agent.errors import BackendUnavailable, BuildFailed, PrecisionUnsupported
from gdws_contract.measures import Build
from gdws_contract.rest import Availability

from .eager import INSTALL_HINT, PACKAGES, EagerNetwork, eager_network
from .engine import CudaTorchEngine, Placing, TorchEngine

if TYPE_CHECKING:
    import torch

_SCOPE = (
    "host time of one call of the eager module, {path}; reordering the input to the memory format and converting "
    "it to the precision are within, pre- and post-processing are not"
)
_PATHS = {
    "cpu": "from a tensor on the host to the outputs on the host",
    "cuda": "from page-locked memory on the host, through the GPU, to page-locked memory on the host, synchronised",
}

#: The first release whose CPU operators take float16.
_HALF_ON_CPU = (2, 3)
#: The first GPUs that have TF32.
_TF32_CAPABILITY = (8, 0)


class PyTorchBackend:
    """Runs an eager module, on the GPU where torch has one, else on the CPU.

    Threads and the switches of cuDNN are torch's own, for the whole process: engines that are alive together
    must share precision and threads, as those of one group do.
    """

    name = "pytorch"
    capabilities = CudaTorchEngine.capabilities
    channels_last = False

    def probe(self) -> Availability:
        """Return availability; packages and device files are looked for, nothing is loaded."""
        missing = [package for package in PACKAGES if not is_installed(package)]
        if missing:
            reason = f"{', '.join(missing)} not installed; {INSTALL_HINT}"
            return Availability(name=self.name, available=False, reason=reason)
        gpu, version = find_gpu(), version_of("torch")
        return Availability(
            name=self.name,
            available=True,
            version=version,
            precisions=_precisions_on_cpu(version or "") if gpu is None else ["fp32", "tf32", "fp16"],
            detail={"device": "cpu" if gpu is None else "cuda", "memory_format": self._memory_format()},
        )

    def build(self, model: bytes, spec: EngineSpec) -> TorchEngine:
        """Return the module of ``model``, with its weights on the device and in the precision of ``spec``."""
        torch = load_torch()
        device = "cuda" if torch.cuda.is_available() else "cpu"
        waiting = [spin_while_waiting()] if device == "cuda" else []
        _check_precision(torch, spec, device)
        began = time.perf_counter()
        network = eager_network(model, spec)
        set_up(torch, spec, device)
        placing = Placing(
            device=torch.device(device),
            dtype=torch.float16 if spec.precision == "fp16" else torch.float32,
            layout=torch.channels_last if self._is_channels_last(spec) else torch.contiguous_format,
        )
        network = place(network, placing)
        if spec.precision == "fp16" and device == "cpu":
            _try_half(torch, network, placing, spec)
        built = Build(
            time_s=time.perf_counter() - began,
            precision=spec.precision,
            options=[*self._options_in_words(torch, spec, device), *waiting, *unused_choices(spec.options)],
        )
        make = CudaTorchEngine if device == "cuda" else TorchEngine
        return make(torch, network, placing, built, spec, _SCOPE.format(path=_PATHS[device]))

    def _is_channels_last(self, spec: EngineSpec) -> bool:
        """Only images, (N, C, H, W), can be laid out with the channels last."""
        return self.channels_last and len(spec.input.shape) == 3

    def _memory_format(self) -> str:
        return "channels_last" if self.channels_last else "contiguous"

    def _options_in_words(self, torch: Any, spec: EngineSpec, device: str) -> List[str]:
        options = [
            "execution=eager",
            f"device={device}",
            f"memory_format={'channels_last' if self._is_channels_last(spec) else 'contiguous'}",
            f"torch_threads={torch.get_num_threads()}",
        ]
        if device == "cpu":
            return [*options, f"onednn={int(torch.backends.mkldnn.is_available())}"]
        return [
            *options,
            f"cudnn.benchmark={int(torch.backends.cudnn.benchmark)}",
            f"tf32={int(torch.backends.cudnn.allow_tf32)}",
            "host_memory=page-locked",
        ]


class PyTorchChannelsLastBackend(PyTorchBackend):
    """The same with channels last in memory, which tensor cores and oneDNN prefer."""

    name = "pytorch-channels-last"
    channels_last = True


def load_torch() -> Any:
    """Return the module ``torch``.

    Raises:
        BackendUnavailable: it cannot be imported.
    """
    try:
        import torch
    except Exception as error:  # also what a broken installation raises: a missing library, an ABI that differs
        raise BackendUnavailable(f"torch cannot be loaded: {error}", hint=INSTALL_HINT) from error
    return torch


def has_tf32(torch: Any) -> bool:
    """Return whether the first GPU can compute in TF32."""
    return tuple(torch.cuda.get_device_capability()) >= _TF32_CAPABILITY


def set_up(torch: Any, spec: EngineSpec, device: str) -> None:
    """Threads as asked, cuDNN's fastest algorithm for the shape, and TF32 only where it is asked for."""
    torch.set_num_threads(spec.threads)
    if device == "cuda":
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.allow_tf32 = spec.precision == "tf32"
        torch.backends.cuda.matmul.allow_tf32 = spec.precision == "tf32"


def place(network: EagerNetwork, placing: Placing) -> EagerNetwork:
    """Return ``network`` with its module on the device, in the precision and memory format of ``placing``.

    Raises:
        BuildFailed, OutOfMemory: it cannot be moved there.
    """
    try:
        module = network.module.to(device=placing.device)
        convert_parameters(module, placing.dtype)
        return network._replace(module=module.to(memory_format=placing.layout))
    except Exception as error:
        raise typed(error, BuildFailed, f"the module could not be moved to {placing.device}") from error


def convert_parameters(module: torch.nn.Module, dtype: torch.dtype) -> None:
    """Convert floating-point weights and buffers; shapes and indices among the buffers stay integers."""
    for tensor in [*module.parameters(), *module.buffers()]:
        if tensor.is_floating_point():
            tensor.data = tensor.data.to(dtype)


def _precisions_on_cpu(version: str) -> List[str]:
    return ["fp32", "fp16"] if release(version) >= _HALF_ON_CPU else ["fp32"]


def _check_precision(torch: Any, spec: EngineSpec, device: str) -> None:
    precision = spec.precision
    if precision not in ("fp32", "tf32", "fp16"):
        raise PrecisionUnsupported(f"pytorch does not run in {precision}", hint="it runs in fp32, tf32 and fp16")
    if precision == "tf32" and device == "cpu":
        raise PrecisionUnsupported("torch finds no GPU, which tf32 needs", hint=GPU_HINT)
    if precision == "tf32" and not has_tf32(torch):
        raise PrecisionUnsupported("this GPU has no TF32", hint="it came with Ampere (Orin); ask for fp32 or fp16")
    if precision == "fp16" and device == "cpu" and precision not in _precisions_on_cpu(torch.__version__):
        raise PrecisionUnsupported(f"torch {torch.__version__} runs fp16 only on a GPU", hint=GPU_HINT)


def _try_half(torch: Any, network: EagerNetwork, placing: Placing, spec: EngineSpec) -> None:
    """Run once: which operators take float16 on a CPU is known from running them only."""
    images = torch.zeros((spec.batch_size, *spec.input.shape), dtype=placing.dtype)
    try:
        with torch.inference_mode():
            network.module(images.to(memory_format=placing.layout))
    except Exception as error:
        if "not implemented for 'Half'" in str(error):
            raise PrecisionUnsupported(f"torch cannot run it in fp16 on the CPU: {error}", hint=GPU_HINT) from error
        raise typed(error, BuildFailed, "the module could not be run") from error
