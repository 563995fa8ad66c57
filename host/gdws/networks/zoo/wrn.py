"""Wide residual networks (Zagoruyko and Komodakis, 2016, arXiv:1605.07146).

The parameter names are those of the public CIFAR checkpoints: ``conv1``, ``block1`` to ``block3`` with ``layer.0``,
``layer.1``, ... of ``bn1``, ``conv1``, ``bn2``, ``conv2`` and ``convShortcut``, then ``bn1`` and ``fc``.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (the customary name)

from gdws.networks.zoo.network import ImageNetwork, Network, he_initialise, require_positive


class WideBlock(nn.Module):
    """BN, ReLU and a 3x3 convolution, twice, beside a shortcut.

    The shortcut is the identity where the widths are equal. Elsewhere it is a 1x1 convolution without bias,
    fed by the activated input.
    """

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.convShortcut: nn.Conv2d | None = None
        if in_channels != channels:
            self.convShortcut = nn.Conv2d(in_channels, channels, 1, stride=stride, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in_channels, H, W) -> (N, channels, H / stride, W / stride), rounded up."""
        activated = F.relu(self.bn1(x))
        shortcut = x if self.convShortcut is None else self.convShortcut(activated)
        out: torch.Tensor = self.conv1(activated)
        out = self.conv2(F.relu(self.bn2(out)))
        return out + shortcut


class WideStage(nn.Module):
    """Blocks of one width, under ``layer``; the first of them has the stride."""

    def __init__(self, depth: int, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        first = WideBlock(in_channels, channels, stride)
        self.layer = nn.Sequential(first, *(WideBlock(channels, channels, 1) for _ in range(depth - 1)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in_channels, H, W) -> (N, channels, H / stride, W / stride), rounded up."""
        out: torch.Tensor = self.layer(x)
        return out


class WideResNet(ImageNetwork):
    """A 3x3 stem without BN, three stages, BN, ReLU, average pool, linear.

    ``depth`` counts the convolutions of stem and blocks and the linear layer: 6n + 4 with n blocks a stage.
    The stages have 1, 2 and 4 times ``widen * width`` channels, the stem ``width``.
    """

    def __init__(self, *, depth: int, widen: int, width: int, in_channels: int, classes: int) -> None:
        super().__init__()
        require_positive(widen=widen, width=width, in_channels=in_channels, classes=classes)
        if depth < 10 or depth % 6 != 4:
            raise ValueError("depth must be 10, 16, 22, 28, ...")
        blocks, wide = (depth - 4) // 6, widen * width
        self.conv1 = nn.Conv2d(in_channels, width, 3, padding=1, bias=False)
        self.block1 = WideStage(blocks, width, wide, 1)
        self.block2 = WideStage(blocks, wide, 2 * wide, 2)
        self.block3 = WideStage(blocks, 2 * wide, 4 * wide, 2)
        self.bn1 = nn.BatchNorm2d(4 * wide)
        self.fc = nn.Linear(4 * wide, classes)
        he_initialise(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images (N, in_channels, H, W) -> logits (N, classes)."""
        out = self.conv1(self.normalise(x))
        out = self.block3(self.block2(self.block1(out)))
        out = F.relu(self.bn1(out))
        logits: torch.Tensor = self.fc(F.adaptive_avg_pool2d(out, 1).flatten(1))
        return logits


def wrn28_4(*, depth: int = 28, widen: int = 4, width: int = 16, in_channels: int = 3, classes: int = 10) -> WideResNet:
    """WRN-28-4 for 32x32 images: 5,849,050 parameters by default."""
    return WideResNet(depth=depth, widen=widen, width=width, in_channels=in_channels, classes=classes)


def mnist_wrn(
    *, depth: int = 16, widen: int = 2, width: int = 16, in_channels: int = 1, classes: int = 10
) -> WideResNet:
    """WRN-16-2 for 28x28 grey images, with stages of 32, 64 and 128 channels: 691,386 parameters by default."""
    return WideResNet(depth=depth, widen=widen, width=width, in_channels=in_channels, classes=classes)


NETWORKS = (
    Network("wrn28-4", wrn28_4, (3, 32, 32), 10, "WRN-28-4 for CIFAR-10 and SVHN"),
    Network("mnist-wrn", mnist_wrn, (1, 28, 28), 10, "WRN-16-2 for MNIST"),
)
