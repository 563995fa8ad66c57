"""The backends of this release, best first."""

from __future__ import annotations

from typing import Callable, Dict, List, Type

from gdws_agent.errors import UnknownBackend
from gdws_contract.rest import Availability

from .base import Backend, Capabilities
from .onnxruntime.cpu import OnnxRuntimeBackend
from .onnxruntime.gpu import OnnxRuntimeCudaBackend, OnnxRuntimeTensorRtBackend
from .tensorrt.backend import TensorRtBackend
from .torch.backend import PyTorchBackend, PyTorchChannelsLastBackend
from .torch2trt.backend import Torch2TrtBackend

BACKENDS: Dict[str, Type[Backend]] = {
    TensorRtBackend.name: TensorRtBackend,
    OnnxRuntimeTensorRtBackend.name: OnnxRuntimeTensorRtBackend,
    Torch2TrtBackend.name: Torch2TrtBackend,
    OnnxRuntimeCudaBackend.name: OnnxRuntimeCudaBackend,
    OnnxRuntimeBackend.name: OnnxRuntimeBackend,
    PyTorchBackend.name: PyTorchBackend,
    PyTorchChannelsLastBackend.name: PyTorchChannelsLastBackend,
}


def get(name: str) -> Backend:
    """Return the backend called ``name``.

    Raises:
        UnknownBackend: there is none.
    """
    try:
        return BACKENDS[name]()
    except KeyError:
        raise UnknownBackend(f"there is no backend {name!r}", hint=f"known are {', '.join(BACKENDS)}") from None


def names_with(has: Callable[[Capabilities], bool]) -> List[str]:
    """Return the backends of which ``has`` holds, best first."""
    return [name for name, backend in BACKENDS.items() if has(backend.capabilities)]


def probe_all() -> List[Availability]:
    """Return the availability of every backend, best first; no runtime is loaded."""
    return [make().probe() for make in BACKENDS.values()]
