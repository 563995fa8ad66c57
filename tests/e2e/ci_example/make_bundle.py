"""Make the bundle of each network that a JSON file describes: ``python make_bundle.py model.json`` makes model.gdws.

It is the network that ships with gdws, with two layers of ``burden`` filters beside it that change nothing, and with
noise of ``blur`` times the spread of each filter on its weights.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from torch import nn

from gdws import datasets, pipeline
from gdws.bundles import packing as bundle
from gdws.bundles.packing import VerificationSet
from gdws.bundles.variant import Variant
from gdws.evaluation.attacks import AttackSpec

ATTACK = AttackSpec(eps=0.2, step=0.1, iterations=3, random_start=True)
IMAGES = 24


class Burdened(nn.Module):
    """``network`` with two layers of ``width`` filters beside it whose mean counts zero times."""

    def __init__(self, network: nn.Module, width: int) -> None:
        super().__init__()
        self.network = network
        self.burden = nn.Sequential(
            nn.Conv2d(1, width, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1)
        )
        self.register_buffer("nothing", torch.zeros(()))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        beside = self.burden(images).mean(dim=(1, 2, 3)).unsqueeze(1)
        logits: torch.Tensor = self.network(images) + self.nothing * beside
        return logits


def make_network(burden: int, blur: float) -> nn.Module:
    torch.manual_seed(0)
    network = pipeline.load("mnist-preact-resnet").module
    with torch.no_grad():
        for weight in network.parameters():
            if weight.dim() > 1:
                weight += blur * weight.std() * torch.randn_like(weight)
    return Burdened(network, burden) if burden else network


def make_bundle(source: Path) -> None:
    settings = json.loads(source.read_text())
    network = make_network(settings["burden"], settings["blur"])
    images = datasets.load("mnist-sample").test.first(IMAGES)
    verification = VerificationSet(images.images, images.labels, "mnist-sample, test", ATTACK)
    target = source.with_suffix(".gdws")
    bundle.pack(target, name="digits", variants=[Variant("dense", network)], verification=verification)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        make_bundle(Path(name))
