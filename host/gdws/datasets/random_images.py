"""Images of noise, for a network whose own images are not at hand."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from gdws._util.modes import evaluation_mode
from gdws._util.outputs import logits_of
from gdws.datasets.splits import Dataset, Split

COUNT = 128
"""Images in each split but the validation split, which is empty."""

_BATCH = 16


def random_images(network: nn.Module, shape: Sequence[int], *, seed: int = 0) -> Dataset:
    """Pixels drawn evenly from [0, 1], (N, \\*shape), labelled with what ``network`` says.

    So its own accuracy is 1, and that of a converted form tells how often the two agree: enough to check a device, and
    no substitute for real images. Raises :class:`ModelError` if the network does not run on them or gives no logits.
    """
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(2 * COUNT, *shape, generator=generator)
    with evaluation_mode(network), torch.no_grad():
        logits = torch.cat([logits_of(network, batch) for batch in torch.split(images, _BATCH)])
    labels = logits.argmax(dim=1)
    train, test = Split(images[:COUNT], labels[:COUNT]), Split(images[COUNT:], labels[COUNT:])
    return Dataset("random images, labelled by the network", logits.shape[1], train, train.first(0), test)
