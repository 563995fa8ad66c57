"""Pre-activation residual networks (He et al., 2016, arXiv:1603.05027).

The parameter names are those of the public CIFAR checkpoints: ``conv1``, ``layer1`` to ``layer4``
with ``bn1``, ``conv1``, ``bn2``, ``conv2`` and ``shortcut.0`` in each block, then ``bn`` and ``linear``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (the customary name)

from gdws.nets.network import Network


class PreActBlock(nn.Module):
    """BN, ReLU and a 3x3 convolution, twice, beside a shortcut.

    The shortcut is the identity where the shapes allow it. Elsewhere it is a 1x1 convolution without
    bias, fed by the activated input.
    """

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.shortcut: nn.Sequential | None = None
        if stride != 1 or in_channels != channels:
            self.shortcut = nn.Sequential(nn.Conv2d(in_channels, channels, 1, stride=stride, bias=False))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in_channels, H, W) -> (N, channels, H / stride, W / stride), rounded up."""
        activated = F.relu(self.bn1(x))
        shortcut = x if self.shortcut is None else self.shortcut(activated)
        out: torch.Tensor = self.conv1(activated)
        out = self.conv2(F.relu(self.bn2(out)))
        return out + shortcut


class PreActResNet(nn.Module):
    """A 3x3 stem without BN, one stage of blocks per width, BN, ReLU, average pool, linear.

    Stages are named ``layer1``, ``layer2``, ...; each but the first halves the resolution.
    The pool is global. On 32x32 images and four stages it is the 4x4 pool of the original.
    """

    def __init__(self, *, blocks: Sequence[int], widths: Sequence[int], in_channels: int, classes: int) -> None:
        super().__init__()
        if min(*blocks, *widths, in_channels, classes) < 1:
            raise ValueError("blocks, widths, channels and classes must be at least 1")
        self.conv1 = nn.Conv2d(in_channels, widths[0], 3, padding=1, bias=False)
        self.stages = tuple(f"layer{i + 1}" for i in range(len(widths)))
        channels = widths[0]
        for i, (stage, depth, width) in enumerate(zip(self.stages, blocks, widths, strict=True)):
            first = PreActBlock(channels, width, stride=1 if i == 0 else 2)
            rest = [PreActBlock(width, width, stride=1) for _ in range(depth - 1)]
            self.add_module(stage, nn.Sequential(first, *rest))
            channels = width
        self.bn = nn.BatchNorm2d(channels)
        self.linear = nn.Linear(channels, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images (N, in_channels, H, W) -> logits (N, classes)."""
        out = self.conv1(x)
        for stage in self.stages:
            out = self.get_submodule(stage)(out)
        out = F.relu(self.bn(out))
        logits: torch.Tensor = self.linear(F.adaptive_avg_pool2d(out, 1).flatten(1))
        return logits


def preact_resnet18(*, classes: int = 10) -> PreActResNet:
    """PreAct-ResNet-18 for 32x32 colour images: 11,172,170 parameters at ten classes."""
    return PreActResNet(blocks=(2, 2, 2, 2), widths=(64, 128, 256, 512), in_channels=3, classes=classes)


def mnist_preact_resnet(*, width: int = 32, classes: int = 10) -> PreActResNet:
    """A narrow three-stage form for 28x28 grey images: 695,658 parameters at the default width."""
    return PreActResNet(blocks=(2, 2, 2), widths=(width, 2 * width, 4 * width), in_channels=1, classes=classes)


NETWORKS = (
    Network("preact-resnet18", preact_resnet18, (3, 32, 32), 10, "PreAct-ResNet-18 for CIFAR-10 and SVHN"),
    Network("mnist-preact-resnet", mnist_preact_resnet, (1, 28, 28), 10, "small PreAct-ResNet for MNIST"),
)
