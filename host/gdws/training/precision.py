"""The precision of forward and backward passes in training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

import torch

Precision = Literal["auto", "fp32", "bf16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


def has_bf16(device: torch.device) -> bool:
    """Whether the arithmetic of ``device`` has bfloat16; where it is emulated, it takes more time than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return False
    found: Mapping[str, Any] = getattr(
        torch.cpu, "get_capabilities", dict
    )()  # from torch 2.10 on; earlier ones do not tell
    return bool(found.get("avx512_bf16") or found.get("amx_bf16") or found.get("bf16"))
