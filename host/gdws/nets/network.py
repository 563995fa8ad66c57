"""What the registry knows of a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class Network:
    """A network that can be built by name.

    ``factory`` takes keyword options and returns a module with fresh weights; ``input_shape`` is
    (channels, height, width) of one image with pixels in [0, 1]; ``classes`` is the default number of logits.
    """

    name: str
    factory: Callable[..., nn.Module]
    input_shape: tuple[int, int, int]
    classes: int
    summary: str
