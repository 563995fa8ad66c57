"""PyTorch, eager: the network rebuilt from ONNX, run operator by operator, as the paper measured it."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, List, Optional, Type

from gdws_contract.measures import Build
from gdws_contract.rest import Availability

from .base import EngineSpec, Step, check_inputs
from .eager import INSTALL_HINT, PACKAGES, eager_module
from .errors import BackendUnavailable, BuildFailed, RunFailed, UnsupportedPrecision, typed
from .gpu import GPU_HINT, find_gpu
from .packages import is_installed, version_of

if TYPE_CHECKING:
    import numpy as np
    import torch

_SCOPE = (
    "host time of one call of the eager module, {path}; reordering the input to the memory format and converting "
    "it to the precision are within, pre- and post-processing are not"
)
_PATHS = {
    "cpu": "from a tensor on the host to logits on the host",
    "cuda": "from a page-locked tensor on the host, through the GPU, to logits on the host, synchronised",
}


class PyTorchBackend:
    """Runs an eager module, on the GPU where torch has one, else on the CPU.

    Threads and the switches of cuDNN are torch's own, for the whole process: engines that are alive together
    must share precision and threads, as those of one group do.
    """

    name = "pytorch"
    channels_last = False

    def probe(self) -> Availability:
        """Return availability; packages and device files are looked for, nothing is loaded."""
        missing = [package for package in PACKAGES if not is_installed(package)]
        if missing:
            reason = f"{', '.join(missing)} not installed; {INSTALL_HINT}"
            return Availability(name=self.name, available=False, reason=reason)
        gpu = find_gpu()
        return Availability(
            name=self.name,
            available=True,
            version=version_of("torch"),
            precisions=["fp32"] if gpu is None else ["fp32", "fp16"],
            detail={"device": "cpu" if gpu is None else "cuda", "memory_format": self._memory_format()},
        )

    def build(self, model: bytes, spec: EngineSpec) -> PyTorchEngine:
        """Return the module of ``model``, with its weights on the device and in the precision of ``spec``."""
        torch = _load()
        device = "cuda" if torch.cuda.is_available() else "cpu"
        _check_precision(spec, device)
        began = time.perf_counter()
        module = eager_module(model, spec)
        _set_up(torch, spec, device)
        dtype = torch.float16 if spec.precision == "fp16" else torch.float32
        layout = torch.channels_last if self._is_channels_last(spec) else torch.contiguous_format
        try:
            module = module.to(device=device)
            _convert_parameters(module, dtype)
            module = module.to(memory_format=layout)
        except Exception as error:
            raise typed(error, BuildFailed, f"the module could not be moved to {device}") from error
        built = Build(
            time_s=time.perf_counter() - began,
            precision=spec.precision,
            options=self._options_in_words(torch, spec, device),
        )
        return PyTorchEngine(torch, module, device, dtype, layout, built, spec)

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
        if device == "cuda":
            options += [f"cudnn.benchmark={int(torch.backends.cudnn.benchmark)}", "tf32=0"]
        return options


class PyTorchChannelsLastBackend(PyTorchBackend):
    """The same with channels last in memory, which tensor cores and oneDNN prefer."""

    name = "pytorch-channels-last"
    channels_last = True


class PyTorchEngine:
    """A module on its device, and what it was made for."""

    def __init__(
        self, torch: Any, module: Any, device: str, dtype: Any, layout: Any, build: Build, spec: EngineSpec
    ) -> None:
        self.build = build
        self.scope = _SCOPE.format(path=_PATHS[device])
        self._torch = torch
        self._module: Any = module
        self._device = device
        self._dtype = dtype
        self._layout = layout
        self._spec = spec

    def __enter__(self) -> PyTorchEngine:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self._module = None
        if self._device == "cuda":
            self._torch.cuda.empty_cache()

    def bind(self, inputs: np.ndarray) -> Step:
        """Return a step that runs the module on a copy of ``inputs``, page-locked where there is a GPU."""
        if self._module is None:
            raise RunFailed("the engine was freed")
        check_inputs(inputs, self._spec)
        try:
            images = self._torch.tensor(inputs)
            if self._device == "cuda":
                images = images.pin_memory()
        except Exception as error:
            raise typed(error, RunFailed, "the inputs could not be copied") from error

        def step() -> np.ndarray:
            if self._module is None:
                raise RunFailed("the engine was freed")
            try:
                return self._run(images)
            except Exception as error:
                raise typed(error, RunFailed, "the module could not be run") from error

        return step

    def _run(self, images: torch.Tensor) -> np.ndarray:
        with self._torch.inference_mode():
            moved = images.to(device=self._device, non_blocking=True)
            dtype = self._dtype if moved.is_floating_point() else moved.dtype
            logits = self._module(moved.to(dtype=dtype, memory_format=self._layout))
            # Copying to the host waits for the GPU.
            received: np.ndarray = logits.to(device="cpu", dtype=self._torch.float32).contiguous().numpy()
            return received


def _load() -> Any:
    try:
        import torch
    except Exception as error:  # also what a broken installation raises: a missing library, an ABI that differs
        raise BackendUnavailable(f"torch cannot be loaded: {error}", hint=INSTALL_HINT) from error
    return torch


def _check_precision(spec: EngineSpec, device: str) -> None:
    if spec.precision == "fp32" or (spec.precision == "fp16" and device == "cuda"):
        return
    if spec.precision == "fp16":
        raise UnsupportedPrecision("torch finds no GPU, and fp16 runs on a GPU alone", hint=GPU_HINT)
    raise UnsupportedPrecision(f"pytorch does not run in {spec.precision}", hint="it runs in fp32, and fp16 on a GPU")


def _set_up(torch: Any, spec: EngineSpec, device: str) -> None:
    """Threads as asked, cuDNN's fastest algorithm for the shape, and float32 that is float32, not TF32."""
    torch.set_num_threads(spec.threads)
    if device == "cuda":
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False


def _convert_parameters(module: Any, dtype: Any) -> None:
    """Convert floating-point weights and buffers; shapes and indices among the buffers stay integers."""
    for tensor in [*module.parameters(), *module.buffers()]:
        if tensor.is_floating_point():
            tensor.data = tensor.data.to(dtype)
