"""The available memory."""

from __future__ import annotations

import os

import torch


def total_bytes(device: torch.device | str = "cpu") -> int:
    """The memory of a device: of this machine for ``cpu``, of the GPU for ``cuda``."""
    device = torch.device(device)
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[1])
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
