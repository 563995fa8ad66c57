"""Splits, and how rows are divided among them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from gdws.errors import DataError


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


def hold_out(
    rows: np.ndarray, contents: Callable[[int], bytes], labels: np.ndarray, per_class: int, *, salt: str
) -> tuple[np.ndarray, np.ndarray]:
    """Divide ``rows`` into the others and ``per_class`` of each class, both in the order of their digests.

    The digest is the SHA-256 of ``salt`` and the row's ``contents``, so rows of equal contents stay together.
    """
    digests = {row: hashlib.sha256(salt.encode() + contents(row)).digest() for row in rows.tolist()}
    order = np.array(sorted(digests, key=digests.__getitem__), dtype=np.int64)
    by_class = np.argsort(labels[order], kind="stable")  # within a class in the order of the digests
    in_class = labels[order][by_class]
    place = np.arange(len(order)) - np.searchsorted(in_class, in_class)
    is_held = np.empty(len(order), dtype=bool)
    is_held[by_class] = place < per_class
    return order[~is_held], order[is_held]


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
