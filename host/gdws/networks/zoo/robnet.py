"""RobNet-free (Guo et al., 2020, arXiv:1911.10695): twenty cells that an architecture search found, for CIFAR-10.

The parameter names are those of the released checkpoint: ``stem``, ``cells.0`` to ``cells.19`` with ``preprocess0``,
``preprocess1`` and ``_ops.0`` to ``_ops.13``, then ``classifier``. The BN of the cells has no weight and bias.
"""

from __future__ import annotations

from functools import reduce
from itertools import compress

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (the customary name)

from gdws.networks.zoo.network import ImageNetwork, Network, require_positive

GENOTYPE = (
    *("32332311233031", "30121022013230", "33311310202203", "23211221230012", "33102221210213"),
    *("32333123021313", "33322132122212", "13331333131320", "33333113210213", "23103323133330"),
    *("32300030120123", "13133223231320", "33221023312201", "13331131133122", "13333101223223"),
    *("33033101203133", "33133232222233", "23133130330201", "32333332303133", "33113310020113"),
)
"""The operation on each edge of each cell: 0 none, 1 separable convolutions, 2 identity, 3 the sum of both."""

_NODES = 4
_REDUCTIONS = (6, 13)


class FactorizedReduce(nn.Module):
    """ReLU, then two 1x1 convolutions of stride 2, one of them shifted by a pixel, side by side, and BN."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv_1 = nn.Conv2d(in_channels, channels // 2, 1, stride=2, bias=False)
        self.conv_2 = nn.Conv2d(in_channels, channels // 2, 1, stride=2, bias=False)
        self.bn = nn.BatchNorm2d(channels, affine=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in_channels, H, W) -> (N, channels, H / 2, W / 2), for even H and W."""
        x = F.relu(x)
        out: torch.Tensor = self.bn(torch.cat([self.conv_1(x), self.conv_2(x[:, :, 1:, 1:])], dim=1))
        return out


class Operation(nn.Module):
    """One layer, or several in sequence, under ``op``."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.op = layers[0] if len(layers) == 1 else nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Whatever the layers make of ``x``."""
        out: torch.Tensor = self.op(x)
        return out


class Sum(nn.Module):
    """Separable convolutions, ``conv``, beside a shortcut, ``res``."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.conv = _separable(channels, stride)
        self.res = _identity(channels, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, channels, H, W) -> (N, channels, H / stride, W / stride)."""
        out: torch.Tensor = self.conv(x) + self.res(x)
        return out


class Cell(nn.Module):
    """Four nodes, each the sum of operations on the two inputs and on the nodes before it; the output has all four.

    The inputs are the outputs of the last two cells, each brought to ``channels`` channels first.
    """

    def __init__(self, before: int, last: int, channels: int, genotype: str, *, reduction: bool, reduced: bool) -> None:
        super().__init__()
        self.preprocess0 = FactorizedReduce(before, channels) if reduced else _pointwise(before, channels)
        self.preprocess1 = _pointwise(last, channels)
        self._ops = nn.ModuleDict()  # numbered as in the checkpoint, without the edges that are none
        self._edges: list[list[str | None]] = []
        operations = {"1": _separable, "2": _identity, "3": Sum}
        for node in range(_NODES):
            first = sum(len(edges) for edges in self._edges)
            edges: list[str | None] = [None] * (2 + node)
            for j, code in enumerate(genotype[first : first + len(edges)]):
                if code != "0":
                    edges[j] = str(first + j)
                    stride = 2 if reduction and j < 2 else 1  # nodes are reduced already
                    self._ops[str(first + j)] = Operation(operations[code](channels, stride))
            self._edges.append(edges)

    def forward(self, before: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
        """The two last outputs -> (N, 4 * channels, H, W), or half the size in a reduction."""
        states = [self.preprocess0(before), self.preprocess1(last)]
        for edges in self._edges:
            used = compress(zip(edges, states, strict=True), edges)
            states.append(reduce(torch.add, (self._ops[str(name)](state) for name, state in used)))
        return torch.cat(states[2:], dim=1)


class RobNet(ImageNetwork):
    """A 3x3 stem with BN, cells, average pool, linear. ``width`` is that of a node in the first cells.

    It doubles at each reduction. Images must measure a multiple of 4.
    """

    def __init__(self, *, width: int, in_channels: int, classes: int) -> None:
        super().__init__()
        require_positive(width=width, in_channels=in_channels, classes=classes)
        if width % 2:
            raise ValueError("width must be even")
        before = last = 3 * width
        self.stem = nn.Sequential(nn.Conv2d(in_channels, last, 3, padding=1, bias=False), nn.BatchNorm2d(last))
        cells = []
        for number, genotype in enumerate(GENOTYPE):
            reduction = number in _REDUCTIONS
            width *= 2 if reduction else 1
            cells.append(Cell(before, last, width, genotype, reduction=reduction, reduced=number - 1 in _REDUCTIONS))
            before, last = last, _NODES * width
        self.cells = nn.ModuleList(cells)
        self.classifier = nn.Linear(last, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images (N, in_channels, H, W) -> logits (N, classes)."""
        before = last = self.stem(self.normalise(x))
        for cell in self.cells:
            before, last = last, cell(before, last)
        logits: torch.Tensor = self.classifier(F.adaptive_avg_pool2d(last, 1).flatten(1))
        return logits


def _pointwise(in_channels: int, channels: int) -> nn.Module:
    conv = nn.Conv2d(in_channels, channels, 1, bias=False)
    return Operation(nn.ReLU(), conv, nn.BatchNorm2d(channels, affine=False))


def _separable(channels: int, stride: int) -> nn.Module:
    """ReLU, a depthwise and a pointwise convolution and BN, twice; the first has the stride."""
    layers: list[nn.Module] = []
    for step in (stride, 1):
        depthwise = nn.Conv2d(channels, channels, 3, stride=step, padding=1, groups=channels, bias=False)
        pointwise = nn.Conv2d(channels, channels, 1, bias=False)
        layers += [nn.ReLU(), depthwise, pointwise, nn.BatchNorm2d(channels, affine=False)]
    return Operation(*layers)


def _identity(channels: int, stride: int) -> nn.Module:
    return nn.Identity() if stride == 1 else FactorizedReduce(channels, channels)


def robnet_free(*, width: int = 36, in_channels: int = 3, classes: int = 10) -> RobNet:
    """RobNet-free for 32x32 images: 5,439,790 parameters by default. Only its stem is a dense 3x3 convolution."""
    return RobNet(width=width, in_channels=in_channels, classes=classes)


NETWORKS = (Network("robnet-free", robnet_free, (3, 32, 32), 10, "RobNet-free for CIFAR-10"),)
