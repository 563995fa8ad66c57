"""Noise images, for a network without a data set."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gdws._util.modes import evaluation_mode
from gdws._util.outputs import run
from gdws.datasets.labelling import labelled_by
from gdws.datasets.splits import Dataset, Split

COUNT = 128
"""Images in each split but the validation split, which is empty."""

NAME = "random images, labelled by the network"
UNLABELLED_NAME = "random images"


def random_images(network: nn.Module, shape: Sequence[int], *, seed: int = 0) -> Dataset:
    """Pixels uniform in [0, 1], (N, \\*shape), labelled on demand with the predictions of ``network``.

    So its own accuracy is 1, and that of a converted network is the agreement of the two on noise: enough to check a
    device, but not to judge accuracy. There are no labels for a network that is not a classifier. Raises
    :class:`ModelError` if the network does not run on them.
    """
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(2 * COUNT, *shape, generator=generator)
    with evaluation_mode(network), torch.no_grad():
        output = run(network, images[:1])
    is_classifier = isinstance(output, Tensor) and output.ndim == 2 and output.is_floating_point()
    label = labelled_by(network) if is_classifier else None
    train, test = (Split(half, label, origin="noise") for half in (images[:COUNT], images[COUNT:]))
    name, classes = (NAME, output.shape[1]) if is_classifier else (UNLABELLED_NAME, 0)
    return Dataset(name, classes, train, train.first(0), test)
