"""Networks with random weights, for benchmarks of speed: it does not depend on the weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gdws.datasets import Split
from gdws.networks import zoo
from gdws.networks.sources import Source


def untrained(name: str, images: int = 16) -> tuple[Source, Split]:
    """A network of the zoo with random weights, and as many random ``images`` of its size.

    The statistics of its batch normalisation are those of the images, which keeps activations within range.
    """
    torch.manual_seed(0)
    module = zoo.build(name).eval()
    shape = zoo.input_shape(name)
    pixels = torch.rand(images, *shape)
    settle(module, pixels)
    return Source(name, module, shape, {"net": name}), Split(pixels, torch.zeros(images, dtype=torch.int64))


@torch.no_grad()
def settle(module: nn.Module, images: Tensor) -> None:
    """Set the statistics of batch normalisation to those of ``images``."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = None  # a cumulative average, of one batch here
            layer.train()
    module(images)
    module.eval()
