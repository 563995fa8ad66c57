"""Networks of random weights whose activations stay in range."""

from __future__ import annotations

import torch
from torch import Tensor, nn


@torch.no_grad()
def settle(module: nn.Module, images: Tensor) -> None:
    """Set the statistics of batch normalisation to those of ``images``."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = None  # a cumulative average, of one batch here
            layer.train()
    module(images)
    module.eval()
