"""The bundles of the benchmark: the shipped network, the same made slower, and one that is less robust."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from gdws import datasets, pipeline
from gdws.bundles import packing as bundle
from gdws.bundles.packing import VerificationSet
from gdws.bundles.variant import Variant
from gdws.evaluation.attacks import AttackSpec

NETWORK = "mnist-preact-resnet"
ATTACK = AttackSpec(eps=0.2, step=0.04, iterations=10, random_start=True)
IMAGES = 64


class Burdened(nn.Module):
    """``network`` with work beside it that changes nothing: ``width`` 3x3 filters whose mean counts zero times.

    No runtime may leave it out, since zero times infinity would not be zero.
    """

    def __init__(self, network: nn.Module, width: int) -> None:
        super().__init__()
        self.network = network
        generator = torch.Generator().manual_seed(0)
        self.burden = nn.Conv2d(1, width, 3, padding=1)
        nn.init.normal_(self.burden.weight, std=0.1, generator=generator)
        self.register_buffer("nothing", torch.zeros(()))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (N, 1, H, W) -> logits (N, classes)."""
        beside = torch.relu(self.burden(images)).mean(dim=(1, 2, 3)).unsqueeze(1)
        logits: torch.Tensor = self.network(images) + self.nothing * beside
        return logits


def shipped() -> nn.Module:
    """The network of the package."""
    return pipeline.load(NETWORK).module


def less_robust(strength: float = 0.02) -> nn.Module:
    """The shipped network with noise of ``strength`` times its spread on every filter."""
    network = shipped()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() > 1:
                parameter += strength * parameter.std() * torch.randn(parameter.shape, generator=generator)
    return network


def write(path: Path, network: nn.Module, *, attack: AttackSpec | None = None) -> Path:
    """Pack ``network`` alone, as ``dense``, with the same images whatever it is."""
    images = datasets.load("mnist-sample").test.first(IMAGES)
    verification = VerificationSet(images.images, images.labels, "mnist-sample, test", attack)
    bundle.pack(path, name="gate", variants=[Variant("dense", network)], verification=verification)
    return path
