"""Where images and their labels come from, which decides what a figure on them can show."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from gdws._util.modes import evaluation_mode
from gdws._util.outputs import logits_of
from gdws.datasets.images import Images

#: ``labelled``: real images with labels, which show accuracy. ``labelled-by-network``: real images whose labels are
#: what the dense network answers, which show how often another network agrees with it; ``unlabelled`` before it was
#: asked. ``noise``: no real images, which show speed alone.
Origin = Literal["labelled", "labelled-by-network", "unlabelled", "noise"]

_BATCH = 16


def labelled_by(network: nn.Module) -> Callable[[Images], Tensor]:
    """What labels images (N, C, H, W) with the classes (N,) that ``network`` answers, a few images at a time.

    It raises :class:`~gdws.errors.ModelError` if the network does not run on them or gives no logits.
    """

    @torch.no_grad()
    def label(images: Images) -> Tensor:
        parameter = next(network.parameters(), torch.empty(0))
        with evaluation_mode(network):
            found = [
                logits_of(network, images[rows].to(parameter.device)).argmax(dim=1).cpu()
                for rows in torch.split(torch.arange(len(images)), _BATCH)
            ]
        return torch.cat(found)

    return label
