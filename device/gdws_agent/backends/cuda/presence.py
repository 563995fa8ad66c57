"""Is there an NVIDIA GPU? Answered from device files, without CUDA."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

#: Desktop and Thor; Jetson with L4T r35; Jetson with L4T r36.
_NODES = ("dev/nvidia0", "dev/nvhost-gpu", "dev/nvgpu/igpu0")

GPU_HINT = "start the container with the NVIDIA runtime (docker run --runtime nvidia; runtime: nvidia in compose)"


def find_gpu(root: Path = Path("/")) -> Optional[str]:
    """Return the device file of the first NVIDIA GPU, e.g. ``/dev/nvhost-gpu``; None if there is none."""
    for node in _NODES:
        if (root / node).exists():
            return f"/{node}"
    return None
