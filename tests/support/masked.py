"""Networks of one function whose gradients an attack cannot follow, each by another trick."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (the customary name)

#: What makes a network of another, without a change of its predictions or with hardly one.
Mask = Callable[[nn.Module, Tensor], Tensor]


class Masked(nn.Module):
    """``network`` as ``mask`` presents it."""

    def __init__(self, network: nn.Module, mask: Mask) -> None:
        super().__init__()
        self.network = network
        self.mask = mask

    def forward(self, x: Tensor) -> Tensor:
        return self.mask(self.network, x)


class Clear(nn.Module):
    """A small network with gradients everywhere, (N, 1, 12, 12) to logits (N, 5)."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.conv = nn.Conv2d(1, 8, 3, 2, 1)
            self.linear = nn.Linear(8 * 36, 5)

    def forward(self, x: Tensor) -> Tensor:
        return 100 * self.linear(F.leaky_relu(self.conv(x), 0.3).flatten(1))


def jpeg(x: Tensor) -> Tensor:
    """``x`` (N, 1, H, W) with the coefficients of its 4x4 blocks rounded, as JPEG does with those of 8x8."""
    places = torch.arange(4.0)
    basis = torch.cos(torch.pi / 4 * (places[None] + 0.5) * places[:, None]) / 2**0.5
    basis[0] /= 2**0.5
    blocks = F.unfold(x, 4, stride=4).transpose(1, 2).reshape(len(x), -1, 4, 4)
    coefficients = ((basis @ blocks @ basis.T) * 64).round() / 64
    back = (basis.T @ coefficients @ basis).flatten(2).transpose(1, 2)
    return F.fold(back, x.shape[2:], 4, stride=4)


def problem(count: int = 64) -> tuple[nn.Module, Tensor, Tensor]:
    """The clear network, images, and labels that it gets right."""
    model = Clear().eval()
    images = torch.rand(count, 1, 12, 12, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        model.linear.bias -= model(images).mean(dim=0) / 100  # so that all classes occur
        return model, images, model(images).argmax(dim=1)
