"""MobileNets for small images: V1 (Howard et al., 2017, arXiv:1704.04861), V2 (Sandler et al., 2018, arXiv:1801.04381).

The parameter names of V1 are those of the public CIFAR implementation: ``conv1``, ``bn1``, ``layers.0``, ``layers.1``,
... and ``linear``. Those of V2 are torchvision's.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (the customary name)

from gdws.networks.zoo.network import ImageNetwork, Network, he_initialise, require_positive

_V2_STAGES = ((1, 8, 1, 1), (6, 12, 2, 1), (6, 16, 3, 2), (6, 32, 4, 2), (6, 48, 3, 1), (6, 80, 3, 2), (6, 160, 1, 1))
"""Expansion, width in sixteenths of the stem's, depth and first stride of each stage."""

_V1_BLOCKS = ((2, 1), (4, 2), (4, 1), (8, 2), (8, 1), (16, 2), *[(16, 1)] * 5, (32, 2), (32, 1))
"""Width of each block as a multiple of the stem's, and its stride."""


class SeparableBlock(nn.Module):
    """A 3x3 depthwise and a 1x1 convolution, each with BN and ReLU."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, in_channels, 3, stride=stride, padding=1, groups=in_channels, bias=False)
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv2 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in_channels, H, W) -> (N, channels, H / stride, W / stride), rounded up."""
        out = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(out)))


class MobileNetV1(ImageNetwork):
    """A 3x3 stem with BN and ReLU, thirteen separable blocks, average pool, linear; ``width`` is the stem's."""

    def __init__(self, *, width: int, in_channels: int, classes: int) -> None:
        super().__init__()
        require_positive(width=width, in_channels=in_channels, classes=classes)
        self.conv1 = nn.Conv2d(in_channels, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        channels, blocks = width, []
        for multiple, stride in _V1_BLOCKS:
            blocks.append(SeparableBlock(channels, multiple * width, stride))
            channels = multiple * width
        self.layers = nn.Sequential(*blocks)
        self.linear = nn.Linear(channels, classes)
        he_initialise(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images (N, in_channels, H, W) -> logits (N, classes)."""
        out = F.relu(self.bn1(self.conv1(self.normalise(x))))
        out = self.layers(out)
        logits: torch.Tensor = self.linear(F.adaptive_avg_pool2d(out, 1).flatten(1))
        return logits


class InvertedResidual(nn.Module):
    """A 1x1 convolution that widens ``expansion`` times (none at 1), a 3x3 depthwise one and a 1x1 one, with BN.

    The first two have ReLU6. Where the shapes allow it, the input is added.
    """

    def __init__(self, in_channels: int, channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = expansion * in_channels
        layers = [] if expansion == 1 else [_conv_bn_relu6(in_channels, inner, 1)]
        layers.append(_conv_bn_relu6(inner, inner, 3, stride=stride, groups=inner))
        self.conv = nn.Sequential(*layers, nn.Conv2d(inner, channels, 1, bias=False), nn.BatchNorm2d(channels))
        self.adds = stride == 1 and in_channels == channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in_channels, H, W) -> (N, channels, H / stride, W / stride), rounded up."""
        out: torch.Tensor = self.conv(x)
        return x + out if self.adds else out


class MobileNetV2(ImageNetwork):
    """A 3x3 stem, seventeen inverted residuals, a 1x1 convolution, average pool, dropout, linear."""

    def __init__(self, *, width: int, in_channels: int, classes: int) -> None:
        super().__init__()
        require_positive(width=width, in_channels=in_channels, classes=classes)
        layers: list[nn.Module] = [_conv_bn_relu6(in_channels, width, 3)]
        channels = width
        for expansion, multiple, depth, stride in _V2_STAGES:
            for i in range(depth):
                wider = max(1, width * multiple // 16)
                layers.append(InvertedResidual(channels, wider, stride if i == 0 else 1, expansion))
                channels = wider
        last = 40 * width
        self.features = nn.Sequential(*layers, _conv_bn_relu6(channels, last, 1))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(last, classes))
        he_initialise(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images (N, in_channels, H, W) -> logits (N, classes)."""
        out = self.features(self.normalise(x))
        logits: torch.Tensor = self.classifier(F.adaptive_avg_pool2d(out, 1).flatten(1))
        return logits


def _conv_bn_relu6(in_channels: int, channels: int, kernel: int, *, stride: int = 1, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, channels, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(channels), nn.ReLU6())


def mobilenetv2(*, width: int = 32, in_channels: int = 3, classes: int = 10) -> MobileNetV2:
    """MobileNetV2 for 32x32 images: 2,236,682 parameters by default, the paper's size.

    The paper does not say at which strides. These are those of the public CIFAR implementation, three of two, whose
    projection shortcuts the size rules out. ``width`` is that of the stem.
    """
    return MobileNetV2(width=width, in_channels=in_channels, classes=classes)


def mobilenetv1(*, width: int = 32, in_channels: int = 3, classes: int = 10) -> MobileNetV1:
    """MobileNetV1 for 32x32 images: 3,217,226 parameters by default."""
    return MobileNetV1(width=width, in_channels=in_channels, classes=classes)


def mnist_mobilenetv1(*, width: int = 16, in_channels: int = 1, classes: int = 10) -> MobileNetV1:
    """MobileNetV1 of half the width for 28x28 grey images: 823,434 parameters by default."""
    return MobileNetV1(width=width, in_channels=in_channels, classes=classes)


NETWORKS = (
    Network("mobilenetv1", mobilenetv1, (3, 32, 32), 10, "MobileNetV1 for CIFAR-10 and SVHN"),
    Network("mobilenetv2", mobilenetv2, (3, 32, 32), 10, "MobileNetV2 for CIFAR-10"),
    Network("mnist-mobilenetv1", mnist_mobilenetv1, (1, 28, 28), 10, "MobileNetV1 of half the width for MNIST"),
)
