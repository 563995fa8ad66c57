"""Pre-activation residual networks (He et al., 2016, arXiv:1603.05027).

The parameter names are those of the public CIFAR checkpoints: ``conv1``, ``layer1`` to ``layer4``
with ``bn1``, ``conv1``, ``bn2``, ``conv2`` (in bottlenecks ``bn3`` and ``conv3`` too) and ``shortcut.0`` in each
block, then ``bn`` and ``linear``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (the customary name)

from gdws.networks.zoo.network import ImageNetwork, Network


def separable(in_channels: int, channels: int, stride: int) -> nn.Sequential:
    """A 3x3 depthwise and a 1x1 convolution without bias, in place of one 3x3 convolution."""
    return nn.Sequential(
        nn.Conv2d(in_channels, in_channels, 3, stride=stride, padding=1, groups=in_channels, bias=False),
        nn.Conv2d(in_channels, channels, 1, bias=False),
    )


def _shortcut(in_channels: int, channels: int, stride: int) -> nn.Sequential | None:
    """A 1x1 convolution without bias, or None where the shapes allow the identity."""
    if stride == 1 and in_channels == channels:
        return None
    return nn.Sequential(nn.Conv2d(in_channels, channels, 1, stride=stride, bias=False))


class PreActBlock(nn.Module):
    """BN, ReLU and a 3x3 convolution, twice, beside a shortcut.

    The shortcut is the identity where the shapes allow it. Elsewhere it is a 1x1 convolution without
    bias, fed by the activated input.
    """

    expansion = 1

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1: nn.Module = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv2: nn.Module = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.shortcut = _shortcut(in_channels, channels, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in_channels, H, W) -> (N, channels, H / stride, W / stride), rounded up."""
        activated = F.relu(self.bn1(x))
        shortcut = x if self.shortcut is None else self.shortcut(activated)
        out: torch.Tensor = self.conv1(activated)
        out = self.conv2(F.relu(self.bn2(out)))
        return out + shortcut


class SeparablePreActBlock(PreActBlock):
    """The same with depthwise-separable convolutions, ``conv1.0`` and ``conv1.1`` for ``conv1``, and so on."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__(in_channels, channels, stride)
        self.conv1 = separable(in_channels, channels, stride)
        self.conv2 = separable(channels, channels, 1)


class PreActBottleneck(nn.Module):
    """A 1x1, a 3x3 and a 1x1 convolution, each after BN and ReLU, beside a shortcut as in :class:`PreActBlock`.

    The stride is that of the 3x3 convolution; the last has four times as many channels.
    """

    expansion = 4

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, self.expansion * channels, 1, bias=False)
        self.shortcut = _shortcut(in_channels, self.expansion * channels, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in_channels, H, W) -> (N, 4 * channels, H / stride, W / stride), rounded up."""
        activated = F.relu(self.bn1(x))
        shortcut = x if self.shortcut is None else self.shortcut(activated)
        out: torch.Tensor = self.conv1(activated)
        out = self.conv2(F.relu(self.bn2(out)))
        out = self.conv3(F.relu(self.bn3(out)))
        return out + shortcut


class PreActResNet(ImageNetwork):
    """A 3x3 stem without BN, one stage of blocks per width, BN, ReLU, average pool, linear.

    Stages are named ``layer1``, ``layer2``, ...; each but the first halves the resolution.
    The pool is global. On 32x32 images and four stages it is the 4x4 pool of the original.
    Without ``final_bn`` the last BN and its ReLU are left out.
    """

    def __init__(
        self,
        *,
        blocks: Sequence[int],
        widths: Sequence[int],
        in_channels: int,
        classes: int,
        block: type[PreActBlock] | type[PreActBottleneck] = PreActBlock,
        final_bn: bool = True,
    ) -> None:
        super().__init__()
        if min(*blocks, *widths, in_channels, classes) < 1:
            raise ValueError("blocks, widths, channels and classes must be at least 1")
        self.conv1 = nn.Conv2d(in_channels, widths[0], 3, padding=1, bias=False)
        self.stages = tuple(f"layer{i + 1}" for i in range(len(widths)))
        channels = widths[0]
        for i, (stage, depth, width) in enumerate(zip(self.stages, blocks, widths, strict=True)):
            first = block(channels, width, stride=1 if i == 0 else 2)
            channels = block.expansion * width
            rest = [block(channels, width, stride=1) for _ in range(depth - 1)]
            self.add_module(stage, nn.Sequential(first, *rest))
        self.bn = nn.BatchNorm2d(channels) if final_bn else None
        self.linear = nn.Linear(channels, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images (N, in_channels, H, W) -> logits (N, classes)."""
        out = self.conv1(self.normalise(x))
        for stage in self.stages:
            out = self.get_submodule(stage)(out)
        if self.bn is not None:
            out = F.relu(self.bn(out))
        logits: torch.Tensor = self.linear(F.adaptive_avg_pool2d(out, 1).flatten(1))
        return logits


def _widths(width: int) -> tuple[int, int, int, int]:
    return width, 2 * width, 4 * width, 8 * width


def preact_resnet18(*, width: int = 64, in_channels: int = 3, classes: int = 10) -> PreActResNet:
    """PreAct-ResNet-18 for 32x32 colour images: 11,172,170 parameters by default."""
    return PreActResNet(blocks=(2, 2, 2, 2), widths=_widths(width), in_channels=in_channels, classes=classes)


def preact_resnet18_plain(*, width: int = 64, in_channels: int = 3, classes: int = 10) -> PreActResNet:
    """PreAct-ResNet-18 without the final BN and ReLU, as ADMM and MSD have it: 11,171,146 parameters by default."""
    return PreActResNet(
        blocks=(2, 2, 2, 2), widths=_widths(width), in_channels=in_channels, classes=classes, final_bn=False
    )


def resnet18_dws(*, width: int = 64, in_channels: int = 3, classes: int = 10) -> PreActResNet:
    """The paper's ResNet-18 of depthwise-separable convolutions, a baseline trained from scratch.

    How it was made is not published. PreAct-ResNet-18 with its sixteen 3x3 convolutions replaced, and no BN between
    depthwise and pointwise, has 1,437,834 parameters by default, the paper's size; the parameter names are ours.
    """
    return PreActResNet(
        blocks=(2, 2, 2, 2),
        widths=_widths(width),
        in_channels=in_channels,
        classes=classes,
        block=SeparablePreActBlock,
    )


def preact_resnet50(*, width: int = 64, in_channels: int = 3, classes: int = 10) -> PreActResNet:
    """PreAct-ResNet-50 for 32x32 colour images: 23,513,162 parameters by default."""
    return PreActResNet(
        blocks=(3, 4, 6, 3), widths=_widths(width), in_channels=in_channels, classes=classes, block=PreActBottleneck
    )


def mnist_preact_resnet(*, width: int = 32, in_channels: int = 1, classes: int = 10) -> PreActResNet:
    """A narrow three-stage form for 28x28 grey images: 695,658 parameters at the default width."""
    return PreActResNet(blocks=(2, 2, 2), widths=_widths(width)[:3], in_channels=in_channels, classes=classes)


def mnist_preact_resnet18(*, width: int = 32, in_channels: int = 1, classes: int = 10) -> PreActResNet:
    """PreAct-ResNet-18 whole for 28x28 grey images: 2,796,138 parameters at the default width."""
    return preact_resnet18(width=width, in_channels=in_channels, classes=classes)


def mnist_resnet18_dws(*, width: int = 32, in_channels: int = 1, classes: int = 10) -> PreActResNet:
    """ResNet-18 of depthwise-separable convolutions for 28x28 grey images, of half the paper's width."""
    return resnet18_dws(width=width, in_channels=in_channels, classes=classes)


NETWORKS = (
    Network("preact-resnet18", preact_resnet18, (3, 32, 32), 10, "PreAct-ResNet-18 for CIFAR-10 and SVHN"),
    Network(
        "preact-resnet18-plain",
        preact_resnet18_plain,
        (3, 32, 32),
        10,
        "PreAct-ResNet-18 without the final BN, the form of ADMM and MSD",
    ),
    Network("resnet18-dws", resnet18_dws, (3, 32, 32), 10, "ResNet-18 of depthwise-separable convolutions (baseline)"),
    Network("preact-resnet50", preact_resnet50, (3, 32, 32), 10, "PreAct-ResNet-50 for CIFAR-10"),
    Network("mnist-preact-resnet", mnist_preact_resnet, (1, 28, 28), 10, "small PreAct-ResNet for MNIST"),
    Network("mnist-preact-resnet18", mnist_preact_resnet18, (1, 28, 28), 10, "PreAct-ResNet-18 for Fashion-MNIST"),
    Network("mnist-resnet18-dws", mnist_resnet18_dws, (1, 28, 28), 10, "ResNet-18 of separable convolutions for MNIST"),
)
