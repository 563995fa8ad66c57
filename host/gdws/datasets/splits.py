"""Splits of a data set, and the division of rows among them."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from gdws.datasets.annotations.truth import Truth
from gdws.datasets.images import Images, first_of
from gdws.errors import DataError
from gdws_contract.manifest import Origin

#: What gives images (N, C, H, W) their labels (N,) int64.
Labeller = Callable[[Images], Tensor]


class Split:
    """Images (N, C, H, W) float32 in [0, 1] with their labels (N,) int64.

    Images may be in files, and labels may be a network's predictions: both are computed on demand, not by
    :meth:`first`. ``labels`` is None if there are none. ``origin`` says what a figure on them means: accuracy on
    ``labelled`` images, agreement with the ``network`` that labelled them, or neither, on ``noise``.
    ``truth`` returns the annotations of the image in a row; None: there are none.
    """

    def __init__(
        self,
        images: Images,
        labels: Tensor | Labeller | None = None,
        *,
        origin: Origin = "labelled",
        absent: str | None = None,
        truth: Callable[[int], Truth] | None = None,
    ) -> None:
        self.truth = truth
        self.by_row: Images = images
        self.origin: Origin = "network" if labels is None and origin == "labelled" else origin
        self._labels, self._absent = labels, absent

    def __len__(self) -> int:
        return len(self.by_row)

    def __repr__(self) -> str:
        return f"Split({len(self)} images)"

    @property
    def images(self) -> Tensor:
        """All images, in memory. For large sets use :attr:`by_row`.

        Raises :class:`DataError` if there are none or they cannot be read, see :class:`~gdws.datasets.LazyImages`.
        """
        self.require_any()
        return self.by_row if isinstance(self.by_row, Tensor) else self.by_row[:]

    @property
    def has_labels(self) -> bool:
        """Whether there are labels, of any origin."""
        return self._labels is not None

    @property
    def labels(self) -> Tensor:
        """The labels (N,). Raises :class:`DataError` if there are none, and what the labeller raises."""
        if self._labels is None:
            raise DataError("these images have no labels", hint="label them with gdws.datasets.labelled_by")
        if not isinstance(self._labels, Tensor):
            self._labels = self._labels(self.by_row)
        return self._labels

    def first(self, count: int) -> Split:
        """The first ``count`` images; all of them if there are fewer."""
        labels = self._labels[:count] if isinstance(self._labels, Tensor) else self._labels
        return self._like(first_of(self.by_row, count), labels, self.origin)

    def batches(self, size: int) -> Iterator[Tensor]:
        """The images (n, C, H, W), at most ``size`` at a time in memory. Raises as :attr:`images`."""
        self.require_any()
        for first in range(0, len(self), size):
            yield self.by_row[first : first + size]

    def labelled_by(self, labeller: Labeller) -> Split:
        """The same images with the labels that ``labeller``, a network, gives."""
        return self._like(self.by_row, labeller, "network")

    def without_labels(self) -> Split:
        """The same images without labels, for comparing networks with each other."""
        return self._like(self.by_row, None, self.origin)

    def _like(self, images: Images, labels: Tensor | Labeller | None, origin: Origin) -> Split:
        return Split(images, labels, origin=origin, absent=self._absent, truth=self.truth)

    def require_any(self) -> None:
        """Raise :class:`DataError` that says why, where there are no images."""
        if self._absent is not None and not len(self):
            raise DataError(self._absent)


@dataclass(frozen=True)
class Dataset:
    """Three disjoint splits. ``test`` is only for the final figures; choices are made on ``validation``.

    ``classes`` is 0 without labels, and ``class_names`` is empty if they have no names. ``preparation`` has JSON values
    that describe how images were prepared, and ``notes`` are for the user.
    """

    name: str
    classes: int
    train: Split
    validation: Split
    test: Split
    _: KW_ONLY
    preparation: Mapping[str, Any] = field(default_factory=dict)
    class_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def origin(self) -> Origin:
        """The origin of images and labels, see :class:`Split`."""
        return self.test.origin


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


def divide(contents: Sequence[bytes], labels: np.ndarray, shares: Sequence[float], *, salt: str) -> list[np.ndarray]:
    """Divide all rows into parts of these ``shares``, which add up to 1, each in the order of its digests.

    ``contents`` tell one image from another and ``labels`` (N,) its class. Rows of equal contents land in one part,
    whatever their labels. Every class is spread over the parts as evenly as it can be: at most one image off. Where the
    parts of a class meet follows from a digest of the class, so classes of single images are spread, too.
    """
    places: dict[bytes, list[int]] = defaultdict(list)
    for row, content in enumerate(contents):
        places[hashlib.sha256(salt.encode() + content).digest()].append(row)
    by_class: dict[int, list[bytes]] = defaultdict(list)
    for digest in sorted(places):
        by_class[int(labels[places[digest][0]])].append(digest)
    part_of: dict[bytes, int] = {}
    ends = np.cumsum(shares)[:-1]
    for label, digests in by_class.items():
        offset = int.from_bytes(hashlib.sha256(f"{salt}/{label}".encode()).digest()[:8], "big") / 2**64
        for rank, digest in enumerate(digests):
            part_of[digest] = int(np.searchsorted(ends, (rank + offset) / len(digests), side="right"))
    parts: list[list[int]] = [[] for _ in shares]
    for digest in sorted(places):
        parts[part_of[digest]] += places[digest]
    return [np.array(rows, dtype=np.int64) for rows in parts]


def check_images(images: Images, labels: Tensor) -> None:
    """Raise :class:`DataError` unless these are samples as :func:`check_pixels` asks, with labels (N,)."""
    if not _are_samples(images) or labels.ndim != 1 or len(images) != len(labels):
        raise DataError(
            f"images {tuple(images.shape)} and labels {tuple(labels.shape)} do not match",
            hint="images must be (N, C, H, W), signals (N, C, L), labels (N,)",
        )
    check_pixels(images)


def check_pixels(images: Images) -> None:
    """Raise :class:`DataError` unless these are images (N, C, H, W) in [0, 1] or finite signals (N, C, L), N >= 1.

    Signals without channels are (N, L). Files are not read for this: their readers return valid data.
    """
    if not _are_samples(images):
        raise DataError(
            f"images have shape {tuple(images.shape)}", hint="images must be (N, C, H, W), signals (N, C, L)"
        )
    if len(images) == 0:
        raise DataError("there are no images")
    if not isinstance(images, Tensor):
        return
    low, high = float(images.min()), float(images.max())
    if images.ndim != 4:
        if not math.isfinite(low + high):
            raise DataError("the signals contain NaN or infinity", hint="leave out such signals")
    elif not (low >= 0 and high <= 1):  # holds for NaN as well
        raise DataError(f"pixels range from {low:g} to {high:g}", hint="scale the images to [0, 1]")


def require_images(images: Images, what: str) -> None:
    """Raise :class:`DataError` for signals: ``what`` needs images (N, C, H, W)."""
    if len(images.shape) != 4:
        raise DataError(f"{what} needs images, but these are signals {tuple(images.shape[1:])}")


def _are_samples(images: Images) -> bool:
    return len(images.shape) in (2, 3, 4)
