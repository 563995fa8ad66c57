"""A narrow network with random weights, for tests of the way rather than of the network."""

from __future__ import annotations

from pathlib import Path

import torch

from gdws.networks import checkpoints
from gdws.networks import zoo as nets


def tiny_checkpoint(folder: Path) -> Path:
    """Store a four-channel form of the MNIST network; the same weights every time."""
    path = folder / "tiny.safetensors"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        weights = nets.build("mnist-preact-resnet", width=4).state_dict()
    checkpoints.save(path, weights, {"net": "mnist-preact-resnet", "net_options": '{"width": 4}'})
    return path
