"""The normalisation of pixels as a layer, so that networks, attacks and exported models take pixels in [0, 1]."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from gdws.errors import ModelError

NORMALISATIONS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2471, 0.2435, 0.2616)),
    "svhn": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
"""Mean and standard deviation of each channel, as the released checkpoints were trained with."""


class Normalise(nn.Module):
    """``(x - mean) / std`` by channel. Mean and deviation are constants, not in the state dict."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        if not mean or len(mean) != len(std) or not all(0 < value < float("inf") for value in std):
            raise ValueError(f"mean {mean} and std {std} must be as long, and std positive")
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) -> (N, C, H, W). Raises :class:`ModelError` for another number of channels."""
        if x.shape[1] != len(self.mean):  # one channel would be spread over all in silence
            raise ModelError(f"the network takes images of {len(self.mean)} channels, not of {x.shape[1]}")
        return (x - self.mean) / self.std


def normalisation(spec: str | Mapping[str, Any] | None, in_channels: int) -> nn.Module:
    """The layer for a name in :data:`NORMALISATIONS`, for ``{"mean": [...], "std": [...]}``, or for None, the identity.

    Raises :class:`ValueError` if there is no such normalisation of ``in_channels`` channels.
    """
    if spec is None or spec == "none":
        return nn.Identity()
    if isinstance(spec, str):
        if spec not in NORMALISATIONS:
            raise ValueError(f"no normalisation is called {spec!r}; there are none, {', '.join(NORMALISATIONS)}")
        mean, std = NORMALISATIONS[spec]
    elif isinstance(spec, Mapping) and spec.keys() == {"mean", "std"}:
        mean, std = tuple(spec["mean"]), tuple(spec["std"])
    else:
        raise ValueError(f"normalisation is {spec!r}; it must be a name, or a mean and a std")
    if len(mean) != in_channels:
        raise ValueError(f"the normalisation is for {len(mean)} channels, the network takes {in_channels}")
    return Normalise(mean, std)
