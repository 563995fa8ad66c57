"""A detector, a segmentation network, one of several outputs, a classifier. Tests write this file to other folders."""

from __future__ import annotations

import torch
from torch import Tensor, nn

CHANNELS = 24


class Detector(nn.Module):
    """A YOLOv8 head of three classes on three strides, for images of 64 by 64, that finds something everywhere."""

    def __init__(self) -> None:
        super().__init__()
        sizes = [3] + [CHANNELS] * 5
        self.down = nn.ModuleList(
            nn.Conv2d(before, after, 3, stride=2, padding=1) for before, after in zip(sizes, sizes[1:])
        )
        self.head = nn.ModuleList(nn.Conv2d(CHANNELS, 7, 3, padding=1) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        maps = []
        for layer in self.down:
            x = torch.relu(layer(x))
            maps.append(x)
        found = [head(map_).flatten(2) for head, map_ in zip(self.head, maps[2:])]
        joined = torch.cat(found, dim=2)
        cells = torch.arange(joined.shape[2]).to(joined)
        centre = torch.stack((cells % 8 * 8, cells // 8 * 6 % 64))[None].expand(len(x), -1, -1)
        return torch.cat((centre, 12 + joined[:, 2:4], (4 * joined[:, 4:]).sigmoid()), dim=1)


class Segmenter(nn.Module):
    """Scores of four classes for each pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, CHANNELS, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(CHANNELS, 4, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


class Heads(nn.Module):
    """A map, an embedding, and the place of its largest entry as an integer."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, CHANNELS, 3, stride=4, padding=1),
            nn.ReLU(),
            nn.Conv2d(CHANNELS, CHANNELS, 3, stride=2, padding=1),
            nn.ReLU(),
        )
        self.map = nn.Conv2d(CHANNELS, 2, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = self.body(x)
        embedding = x.mean(dim=(2, 3))
        return self.map(x), embedding, embedding.argmax(dim=1)


def detector() -> nn.Module:
    torch.manual_seed(0)
    return Detector()


def segmenter() -> nn.Module:
    torch.manual_seed(1)
    return Segmenter()


def heads() -> nn.Module:
    torch.manual_seed(2)
    return Heads()


def digits() -> nn.Module:
    """A classifier of images of 28 by 28 pixels with two layers to choose for."""
    torch.manual_seed(3)
    convolutions = [nn.Conv2d(before, 8, 3, padding=1) for before in (1, 8, 8)]
    layers = [layer for convolution in convolutions for layer in (convolution, nn.ReLU())]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 10))


def half_agree(found: Tensor, reference: Tensor) -> Tensor:
    """The share of the entries of each image that are within a hundredth."""
    return ((found - reference).abs() < 0.01).flatten(1).double().mean(dim=1)
