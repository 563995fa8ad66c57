"""Networks through which no gradients pass."""

from __future__ import annotations

from torch import nn


def differentiable(model: nn.Module) -> bool:
    """Whether gradients of the outputs by activations can be had; a module without has ``differentiable = False``."""
    return all(getattr(module, "differentiable", True) for module in model.modules())
