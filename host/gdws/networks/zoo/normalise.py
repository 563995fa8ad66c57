"""The normalisation of pixels as a layer, so that networks, attacks and exported models take pixels in [0, 1]."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from gdws.datasets.preprocessing import Preprocessing
from gdws.errors import ModelError

NORMALISATIONS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2471, 0.2435, 0.2616)),
    "svhn": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
"""Mean and standard deviation of each channel, as the released checkpoints were trained with."""


class Normalise(nn.Module):
    """``(x - mean) / std`` by channel, of channels in another ``order`` if there is one. Not in the state dict.

    A channel has two ``axes`` in an image, one in a signal.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(
        self, mean: Sequence[float], std: Sequence[float], order: Sequence[int] | None = None, axes: int = 2
    ) -> None:
        super().__init__()
        if not mean or len(mean) != len(std) or not all(0 < value < float("inf") for value in std):
            raise ValueError(f"mean {mean} and std {std} must be as long, and std positive")
        self.register_buffer("mean", torch.tensor(mean).view(-1, *[1] * axes), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, *[1] * axes), persistent=False)
        self.order = None if order is None else list(order)

    def extra_repr(self) -> str:
        """The parameters, which are not in the state dict but must affect a digest of the network."""
        order = "" if self.order is None else f", order={self.order}"
        return f"mean={self.mean.flatten().tolist()}, std={self.std.flatten().tolist()}{order}"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, ...) -> (N, C, ...). Raises :class:`ModelError` for another number of channels."""
        if x.shape[1] != len(self.mean):  # a single channel would be broadcast silently
            raise ModelError(f"the network takes images with {len(self.mean)} channels, not {x.shape[1]}")
        if self.order is not None:
            x = x[:, self.order]
        return (x - self.mean) / self.std


def normalisation(spec: str | Mapping[str, Any] | None, in_channels: int) -> nn.Module:
    """The layer for a name in :data:`NORMALISATIONS`, for the fields of a
    :class:`~gdws.datasets.Preprocessing`, e.g. ``{"mean": [...], "std": [...]}``, or for None, the identity.

    Raises :class:`ValueError` if there is no such normalisation of ``in_channels`` channels.
    """
    if spec is None or spec == "none":
        return nn.Identity()
    try:
        return layer_of(preprocessing_of(spec), (in_channels, 1, 1))
    except ModelError as error:
        raise ValueError(error.message) from error


def layer_of(preprocessing: Preprocessing, shape: Sequence[int]) -> Normalise:
    """The layer for ``preprocessing`` of images or signals of ``shape`` (C, ...). Raises :class:`ModelError`."""
    mean, std = preprocessing.by_channel(shape[0])
    return Normalise(mean, std, preprocessing.order(shape[0]), axes=len(shape) - 1)


def preprocessing_of(spec: str | Mapping[str, Any]) -> Preprocessing:
    """The preprocessing for an argument of :func:`normalisation`. Raises :class:`ModelError`."""
    if isinstance(spec, Mapping):
        return Preprocessing.from_dict(spec)
    if spec not in NORMALISATIONS:
        raise ModelError(f"there is no normalisation {spec!r}", hint=f"use none, {', '.join(NORMALISATIONS)}")
    mean, std = NORMALISATIONS[spec]
    return Preprocessing(mean=mean, std=std)


class Preprocessed(nn.Module):
    """A network with ``normalise`` as its first layer, which takes pixels in [0, 1]."""

    def __init__(self, normalise: nn.Module, network: nn.Module) -> None:
        super().__init__()
        self.normalise, self.network = normalise, network

    def forward(self, images: torch.Tensor) -> Any:
        """The outputs of the network for ``images`` (N, C, H, W) in [0, 1]."""
        return self.network(self.normalise(images))
