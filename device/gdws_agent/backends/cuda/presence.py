"""Whether there is an NVIDIA GPU, found by device files, without CUDA."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Mapping, Optional

from gdws_agent.backends.packages import is_installed, version_of
from gdws_contract.rest import Availability

#: Desktop and Thor; Jetson with L4T r35; Jetson with L4T r36.
_NODES = ("dev/nvidia0", "dev/nvhost-gpu", "dev/nvgpu/igpu0")

GPU_HINT = "start the container with the NVIDIA runtime (docker run --runtime nvidia; runtime: nvidia in compose)"


def find_gpu(root: Path = Path("/")) -> Optional[str]:
    """Return the device file of the first NVIDIA GPU, e.g. ``/dev/nvhost-gpu``; None if there is none."""
    for node in _NODES:
        if (root / node).exists():
            return f"/{node}"
    return None


def availability(
    name: str, hints: Mapping[str, str], version: Optional[str], precisions: List[str], detail: Dict[str, str]
) -> Availability:
    """Return the availability of a GPU backend that needs the packages in ``hints``, each with its advice."""
    problems = [f"{package} is not installed; {hint}" for package, hint in hints.items() if not is_installed(package)]
    gpu = find_gpu()
    if gpu is None:
        problems.append(f"no NVIDIA GPU is visible; {GPU_HINT}")
    if problems:
        return Availability(name=name, available=False, reason="; ".join(problems))
    return Availability(
        name=name, available=True, version=version, precisions=precisions, detail={"gpu": gpu or "", **detail}
    )


def tensorrt_version() -> Optional[str]:
    """Return the version of the installed TensorRT, from its metadata."""
    return version_of("tensorrt", "tensorrt-cu12", "tensorrt-cu13")
