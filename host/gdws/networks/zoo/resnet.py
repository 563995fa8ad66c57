"""Residual networks (He et al., 2016, arXiv:1512.03385): ResNet-20 for small images, and ResNet-50.

The parameter names of ResNet-20 are those of the public CIFAR implementations: ``conv1``, ``bn1``, ``layer1`` to
``layer3`` with ``conv1``, ``bn1``, ``conv2`` and ``bn2`` in each block, then ``linear``. Those of ResNet-50 are
torchvision's.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (the customary name)

from gdws.networks.zoo.network import ImageNetwork, Network, he_initialise, require_positive


class Block(nn.Module):
    """Two 3x3 convolutions with BN, beside a shortcut without parameters.

    Where shapes change, the shortcut takes every second pixel and fills the new channels with zeros, half of them
    before and half after the others.
    """

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.stride = stride
        before = (channels - in_channels) // 2
        self.fill = (before, channels - in_channels - before)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in_channels, H, W) -> (N, channels, H / stride, W / stride), rounded up."""
        shortcut = x if self.stride == 1 else x[:, :, :: self.stride, :: self.stride]
        if any(self.fill):
            shortcut = F.pad(shortcut, (0, 0, 0, 0, *self.fill))
        out = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(out)) + shortcut)


class ResNet20(ImageNetwork):
    """A 3x3 stem with BN and ReLU, three stages of three blocks, average pool, linear.

    The stages have 1, 2 and 4 times ``width`` channels.
    """

    def __init__(self, *, width: int, in_channels: int, classes: int) -> None:
        super().__init__()
        require_positive(width=width, in_channels=in_channels, classes=classes)
        self.conv1 = nn.Conv2d(in_channels, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = nn.Sequential(*(Block(width, width, 1) for _ in range(3)))
        self.layer2 = nn.Sequential(Block(width, 2 * width, 2), *(Block(2 * width, 2 * width, 1) for _ in range(2)))
        self.layer3 = nn.Sequential(Block(2 * width, 4 * width, 2), *(Block(4 * width, 4 * width, 1) for _ in range(2)))
        self.linear = nn.Linear(4 * width, classes)
        he_initialise(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images (N, in_channels, H, W) -> logits (N, classes)."""
        out = F.relu(self.bn1(self.conv1(self.normalise(x))))
        out = self.layer3(self.layer2(self.layer1(out)))
        logits: torch.Tensor = self.linear(F.adaptive_avg_pool2d(out, 1).flatten(1))
        return logits


class Bottleneck(nn.Module):
    """A 1x1, a 3x3 and a 1x1 convolution with BN, beside a shortcut; the last has four times as many channels.

    The stride is that of the 3x3 convolution. Where shapes change, the shortcut is a 1x1 convolution with BN.
    """

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, 4 * channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * channels)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or in_channels != 4 * channels:
            conv = nn.Conv2d(in_channels, 4 * channels, 1, stride=stride, bias=False)
            self.downsample = nn.Sequential(conv, nn.BatchNorm2d(4 * channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in_channels, H, W) -> (N, 4 * channels, H / stride, W / stride), rounded up."""
        shortcut = x if self.downsample is None else self.downsample(x)
        out = F.relu(self.bn1(self.conv1(x)))
        out = F.relu(self.bn2(self.conv2(out)))
        return F.relu(self.bn3(self.conv3(out)) + shortcut)


class ResNet50(ImageNetwork):
    """A 7x7 stem of stride 2 with BN, ReLU and a max-pool, four stages of bottlenecks, average pool, linear."""

    def __init__(self, *, width: int, in_channels: int, classes: int) -> None:
        super().__init__()
        require_positive(width=width, in_channels=in_channels, classes=classes)
        self.conv1 = nn.Conv2d(in_channels, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = _bottlenecks(3, width, width, 1)
        self.layer2 = _bottlenecks(4, 4 * width, 2 * width, 2)
        self.layer3 = _bottlenecks(6, 8 * width, 4 * width, 2)
        self.layer4 = _bottlenecks(3, 16 * width, 8 * width, 2)
        self.fc = nn.Linear(32 * width, classes)
        he_initialise(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images (N, in_channels, H, W) -> logits (N, classes)."""
        out = F.relu(self.bn1(self.conv1(self.normalise(x))))
        out = F.max_pool2d(out, 3, stride=2, padding=1)
        out = self.layer4(self.layer3(self.layer2(self.layer1(out))))
        logits: torch.Tensor = self.fc(F.adaptive_avg_pool2d(out, 1).flatten(1))
        return logits


def _bottlenecks(depth: int, in_channels: int, channels: int, stride: int) -> nn.Sequential:
    first = Bottleneck(in_channels, channels, stride)
    return nn.Sequential(first, *(Bottleneck(4 * channels, channels, 1) for _ in range(depth - 1)))


def resnet20(*, width: int = 16, in_channels: int = 3, classes: int = 10) -> ResNet20:
    """ResNet-20 for 32x32 images: 269,722 parameters by default."""
    return ResNet20(width=width, in_channels=in_channels, classes=classes)


def resnet20_wide(*, width: int = 40, in_channels: int = 3, classes: int = 10) -> ResNet20:
    """ResNet-20 at the paper's size: 1,676,530 parameters by default.

    The paper gives 6.4 MB and no widths; 40, 80 and 160 channels with shortcuts without parameters meet that.
    """
    return ResNet20(width=width, in_channels=in_channels, classes=classes)


def resnet50(*, width: int = 64, in_channels: int = 3, classes: int = 1000) -> ResNet50:
    """ResNet-50 for ImageNet as torchvision has it: 25,557,032 parameters by default."""
    return ResNet50(width=width, in_channels=in_channels, classes=classes)


NETWORKS = (
    Network("resnet20", resnet20, (3, 32, 32), 10, "ResNet-20 for CIFAR-10"),
    Network("resnet20-wide", resnet20_wide, (3, 32, 32), 10, "ResNet-20 at the paper's size (baseline)"),
    Network("resnet50", resnet50, (3, 224, 224), 1000, "ResNet-50 for ImageNet, torchvision's form"),
)
