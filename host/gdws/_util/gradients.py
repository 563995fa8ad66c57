"""Networks without gradients."""

from __future__ import annotations

from torch import nn


def differentiable(model: nn.Module) -> bool:
    """Whether outputs have gradients by activations; a module without gradients has ``differentiable = False``."""
    return all(getattr(module, "differentiable", True) for module in model.modules())
