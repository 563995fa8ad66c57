"""VGG-16 with batch normalisation (Simonyan and Zisserman, 2015, arXiv:1409.1556), in the forms that were released.

The parameter names are those of the public CIFAR checkpoints: ``features`` numbers every layer, pools included.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (the customary name)

from gdws.networks.zoo.network import ImageNetwork, Network, he_initialise, require_positive

_STAGES = ((1, 2), (2, 2), (4, 3), (8, 3), (8, 3))
"""Width of each stage as a multiple of the first, and its number of convolutions."""


class VGG16(ImageNetwork):
    """Thirteen 3x3 convolutions, each with BN and ReLU, a 2x2 max-pool after each stage, and one linear layer.

    ``padding`` is the border of zeros round the image, in pixels, which the first convolution provides.
    With it, images must measure at least 32x32, for each of the five pools halves them.
    """

    def __init__(self, *, width: int, in_channels: int, classes: int, padding: int) -> None:
        super().__init__()
        require_positive(width=width, in_channels=in_channels, classes=classes)
        self.features = _features(width, in_channels, bias=True, last_pool=True, padding=padding)
        self.classifier = nn.Linear(8 * width, classes)
        he_initialise(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images (N, in_channels, H, W) -> logits (N, classes)."""
        out = self.features(self.normalise(x))
        logits: torch.Tensor = self.classifier(F.adaptive_avg_pool2d(out, 1).flatten(1))
        return logits


class HydraVGG16(ImageNetwork):
    """The form of HYDRA (Sehwag et al., 2020): convolutions without bias, no fifth pool, three linear layers."""

    def __init__(self, *, width: int, in_channels: int, classes: int) -> None:
        super().__init__()
        require_positive(width=width, in_channels=in_channels, classes=classes)
        self.features = _features(width, in_channels, bias=False, last_pool=False, padding=0)
        self.classifier = nn.Sequential(
            nn.Linear(4 * 8 * width, 4 * width),
            nn.ReLU(inplace=True),
            nn.Linear(4 * width, 4 * width),
            nn.ReLU(inplace=True),
            nn.Linear(4 * width, classes),
        )
        he_initialise(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images (N, in_channels, H, W) -> logits (N, classes)."""
        out = self.features(self.normalise(x))
        logits: torch.Tensor = self.classifier(F.adaptive_avg_pool2d(out, 2).flatten(1))
        return logits


def _features(width: int, in_channels: int, *, bias: bool, last_pool: bool, padding: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    channels = in_channels
    for stage, (multiple, depth) in enumerate(_STAGES):
        for _ in range(depth):
            border = 0 if layers else padding  # a wider border of the first convolution pads the image
            conv = nn.Conv2d(channels, multiple * width, 3, padding=1 + border, bias=bias)
            layers += [conv, nn.BatchNorm2d(multiple * width), nn.ReLU(inplace=True)]
            channels = multiple * width
        if last_pool or stage < len(_STAGES) - 1:
            layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


def vgg16(*, width: int = 64, in_channels: int = 3, classes: int = 10) -> VGG16:
    """VGG-16 for 32x32 images as the paper's authors and ADMM have it: 14,728,266 parameters by default.

    ``width`` is that of the first stage; the last two are eight times as wide.
    """
    return VGG16(width=width, in_channels=in_channels, classes=classes, padding=0)


def vgg16_hydra(*, width: int = 64, in_channels: int = 3, classes: int = 10) -> HydraVGG16:
    """VGG-16 for 32x32 images as HYDRA has it: 15,311,818 parameters by default."""
    return HydraVGG16(width=width, in_channels=in_channels, classes=classes)


def mnist_vgg16(*, width: int = 16, in_channels: int = 1, classes: int = 10) -> VGG16:
    """A narrow VGG-16 for 28x28 grey images, which it takes as 32x32 with a border of zeros: 923,898 parameters."""
    return VGG16(width=width, in_channels=in_channels, classes=classes, padding=2)


NETWORKS = (
    Network("vgg16", vgg16, (3, 32, 32), 10, "VGG-16 with BN for CIFAR-10 and SVHN"),
    Network("vgg16-hydra", vgg16_hydra, (3, 32, 32), 10, "VGG-16 with BN, the form of HYDRA"),
    Network("mnist-vgg16", mnist_vgg16, (1, 28, 28), 10, "narrow VGG-16 for MNIST"),
)
