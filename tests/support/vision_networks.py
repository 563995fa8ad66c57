"""Small networks that are not classifiers, as a user has them: Python code, weights, and a folder of images."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from support import own_networks

IMAGES = 40


def write_networks(folder: Path) -> Path:
    """Write ``own_networks.py``, the weights of its networks, and images of 64 by 64 pixels; return ``folder``."""
    (folder / "own_networks.py").write_text(inspect.getsource(own_networks))
    for make in (own_networks.detector, own_networks.segmenter, own_networks.heads):
        torch.save(make().state_dict(), folder / f"{make.__name__}.pth")
    images = folder / "images"
    images.mkdir()
    rng = np.random.default_rng(0)
    for number in range(IMAGES):
        coarse = np.clip(rng.normal(120, 60, (8, 8, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(coarse).resize((64, 64)).save(images / f"{number:03}.png")
    return folder
