"""Images of noise, for a network whose own images are not at hand."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from gdws._util.modes import evaluation_mode
from gdws._util.outputs import logits_of
from gdws.datasets.labelling import labelled_by
from gdws.datasets.splits import Dataset, Split

COUNT = 128
"""Images in each split but the validation split, which is empty."""

NAME = "random images, labelled by the network"


def random_images(network: nn.Module, shape: Sequence[int], *, seed: int = 0) -> Dataset:
    """Pixels drawn evenly from [0, 1], (N, \\*shape), labelled with what ``network`` answers once labels are asked for.

    So its own accuracy is 1, and that of a converted form tells how often the two agree on noise: enough to check a
    device, and nothing about accuracy. Raises :class:`ModelError` if the network does not run on them or gives no
    logits.
    """
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(2 * COUNT, *shape, generator=generator)
    with evaluation_mode(network), torch.no_grad():
        classes = logits_of(network, images[:1]).shape[1]
    label = labelled_by(network)
    train, test = (Split(half, label, origin="noise") for half in (images[:COUNT], images[COUNT:]))
    return Dataset(NAME, classes, train, train.first(0), test)
