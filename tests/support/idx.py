"""Small files of the IDX format, as MNIST and Fashion-MNIST are published."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np


def idx_bytes(values: np.ndarray) -> bytes:
    """``values``, uint8, as an IDX file holds them."""
    return bytes((0, 0, 8, values.ndim)) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


def mnist_files(folder: Path, *, train: int = 60, test: int = 20, zipped: bool = True) -> dict[str, np.ndarray]:
    """Write four files of random images and of labels 0 to 9 in turn; return the arrays by the files' stems."""
    rng = np.random.default_rng(0)
    arrays = {}
    for prefix, count in (("train", train), ("t10k", test)):
        arrays[f"{prefix}-images-idx3-ubyte"] = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        arrays[f"{prefix}-labels-idx1-ubyte"] = (np.arange(count) % 10).astype(np.uint8)
    folder.mkdir(parents=True, exist_ok=True)
    for stem, array in arrays.items():
        content = idx_bytes(array)
        (folder / (f"{stem}.gz" if zipped else stem)).write_bytes(gzip.compress(content) if zipped else content)
    return arrays
