"""The registry's entry for a network, and the base class of all networks."""

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


class ImageNetwork(nn.Module):
    """A classifier of images with pixels in [0, 1].

    Its first layer is ``normalise``, the identity unless :func:`gdws.networks.zoo.build` gets another. It has no
    parameters and is not in the state dict, whose keys are those of the released checkpoints.
    """

    def __init__(self) -> None:
        super().__init__()
        self.normalise: nn.Module = nn.Identity()


def require_positive(**sizes: int) -> None:
    """Raise :class:`ValueError` naming the first of ``sizes`` that is below 1."""
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} must be at least 1")


def he_initialise(model: nn.Module) -> None:
    """Draw the convolutions of ``model`` from He's normal distribution by fan-out (arXiv:1502.01852), biases 0."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
