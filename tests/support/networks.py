"""Small torch networks with the features that surgery meets."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SmallResNet(nn.Module):
    """A stem, a residual pair of convolutions with batch normalisation, and a linear head; (N, 3, H, W) in."""

    def __init__(self, width: int = 8, classes: int = 5) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, 2 * width, (3, 5), stride=2, padding=(1, 2))
        self.shortcut = nn.Conv2d(width, 2 * width, 1, stride=2)
        self.head = nn.Linear(2 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem(x))
        y = torch.relu(self.bn(self.conv1(x)))
        return self.head(torch.relu(self.conv2(y) + self.shortcut(x)).mean(dim=(2, 3)))


class Sharing(nn.Module):
    """One convolution called twice under two names, and one that holds the same weight at another stride."""

    def __init__(self, width: int = 6, classes: int = 4) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.body = nn.Conv2d(width, width, 3, padding=1)
        self.again = self.body
        self.strided = nn.Conv2d(width, width, 3, stride=2, bias=False)
        self.strided.weight = self.body.weight
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem(x))
        x = torch.relu(self.body(x)) + torch.relu(self.again(x))
        x = self.again(x).relu_()
        return self.head(self.strided(x).mean(dim=(2, 3)))


class TwoHeads(nn.Module):
    """A map and a vector of another scale, with their classes, as a dict of a tuple and a tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.body = nn.Conv2d(6, 6, 3, padding=1)
        self.map = nn.Conv2d(6, 2, 3, padding=1)
        self.vector = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> dict[str, object]:
        x = torch.relu(self.body(torch.relu(self.stem(x))))
        vector = 50 * self.vector(x.mean(dim=(2, 3)))
        return {"heads": (self.map(x), vector), "class": vector.argmax(dim=1)}


def seeded(module: type[nn.Module], *arguments: object, seed: int = 0, **options: object) -> nn.Module:
    """The network with weights of a fixed seed and batch normalisation statistics as if trained."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = module(*arguments, **options)
        for part in network.modules():
            if isinstance(part, nn.BatchNorm2d) and part.track_running_stats:
                part.running_mean.normal_(0, 0.2)
                part.running_var.uniform_(0.5, 1.5)
    return network.eval()
