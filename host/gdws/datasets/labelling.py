"""Labels images with the predictions of a network."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from gdws._util.modes import evaluation_mode
from gdws._util.outputs import logits_of
from gdws.datasets.images import Images

_BATCH = 16


def labelled_by(network: nn.Module) -> Callable[[Images], Tensor]:
    """A function from images (N, C, H, W) to the classes (N,) that ``network`` predicts, a few images at a time.

    It raises :class:`~gdws.errors.ModelError` if the network does not run on them or does not return logits.
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
