"""Image files for tests: small, each unlike the others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image


def pixels(seed: int, height: int = 6, width: int = 8, channels: int = 3) -> np.ndarray:
    """Random bytes (H, W, channels), or (H, W) for one channel."""
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def write_classes(root: Path, counts: Mapping[str, int], *, seed: int = 0, **size: int) -> Path:
    """A folder for each class with so many images; no two of one seed are the same."""
    for number, (name, count) in enumerate(counts.items()):
        (root / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            Image.fromarray(pixels(seed + 1000 * number + index, **size)).save(root / name / f"{index:03}.png")
    return root
