"""Images and signals in NumPy files: ``.npy`` without labels, ``.npz`` with or without, in splits or one piece."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from gdws.datasets.own.pool import Labels, Pool
from gdws.datasets.own.signals import Signals
from gdws.datasets.preparation import Preparation
from gdws.errors import DataError, first_line

Array = npt.NDArray[Any]

#: What images and their labels are called in a ``.npz``, in small letters: as MedMNIST calls them, as Keras does, and
#: short forms.
_NAMES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "": (("images", "labels"), ("signals", "labels"), ("x", "y")),
    "train": (("train_images", "train_labels"), ("x_train", "y_train")),
    "validation": (("val_images", "val_labels"), ("x_val", "y_val")),
    "test": (("test_images", "test_labels"), ("x_test", "y_test")),
}
_CHANNELS = (1, 3, 4)


def in_arrays(path: Path, preparation: Preparation | Signals) -> dict[str, Pool]:
    """The images in a ``.npy`` or ``.npz`` file, by split; the only key is "" where the file does not tell splits.

    Images are (N, C, H, W), (N, H, W, C) or (N, H, W); uint8, uint16, or floats in [0, 1]. Signals are as
    :meth:`~gdws.datasets.own.signals.Signals.reader` takes them. A ``.npy`` stays on disk.
    Raises :class:`DataError` for a file that is damaged, or holds something else.
    """
    try:
        content: Any = np.load(path, mmap_mode="r", allow_pickle=False)
        is_one = isinstance(content, np.ndarray)
        arrays = {"images": content} if is_one else {name.lower(): array for name, array in content.items()}
    except Exception as error:  # damaged files fail in many ways
        raise DataError(
            f"{path} cannot be read: {first_line(error)}", hint="write it with numpy.save or numpy.savez"
        ) from error
    found = {split: names for split, candidates in _NAMES.items() for names in candidates if names[0] in arrays}
    if not found:
        raise DataError(
            f"{path} has no images: it holds {', '.join(arrays) or 'nothing'}",
            hint="call the arrays images and labels, or x_train, y_train, x_test and y_test",
        )
    if "" in found:
        found = {"": found[""]}
    return {
        split: _pool(f"{images} in {path}", arrays[images], arrays.get(labels), preparation)
        for split, (images, labels) in found.items()
    }


def _pool(what: str, images: Array, labels: Array | None, preparation: Preparation | Signals) -> Pool:
    if images.ndim == 0:
        raise DataError(f"{what} are a single value", hint="give one row for each image")
    read = preparation.reader(what, images) if isinstance(preparation, Signals) else _reader(what, images, preparation)
    return Pool(
        count=len(images),
        read=read,
        contents=lambda place: hashlib.sha256(np.ascontiguousarray(images[place]).tobytes()).digest(),
        labels=None if labels is None else _labels(what, labels, len(images)),
    )


def _reader(what: str, images: Array, preparation: Preparation) -> Callable[[int], Tensor]:
    by_pixels = _channels_last(what, images, preparation.shape[0])
    as_pixels = _scale(what, images)
    return lambda place: preparation.of_pixels(as_pixels(by_pixels[place]))


def _channels_last(what: str, images: Array, channels: int) -> Array:
    """The images as (N, H, W, channels). The network's own number of channels decides where several might be."""
    if images.ndim == 3:
        return images[:, :, :, None]
    if images.ndim == 4:
        for wanted in ((channels,), _CHANNELS):
            first, last = (images.shape[axis] in wanted for axis in (1, 3))
            if first != last:
                return np.moveaxis(images, 1, 3) if first else images
            if first and last:
                break
    raise DataError(
        f"{what} have the shape {images.shape}, of which it cannot be told where the channels are",
        hint=f"give (N, H, W), or (N, {channels}, H, W), or (N, H, W, {channels})",
    )


def _scale(what: str, images: Array) -> Any:
    """What brings stored numbers to uint8, or float32 in [0, 1]."""
    if images.dtype == np.uint8:
        return np.ascontiguousarray
    if images.dtype == np.uint16:
        return lambda pixels: pixels.astype(np.float32) / 65_535
    if images.dtype.kind != "f":
        raise DataError(f"{what} are {images.dtype}", hint="store uint8, uint16, or floats from 0 to 1")
    low, high = _range(images)
    if not (low >= 0 and high <= 1):  # holds for NaN as well
        raise DataError(
            f"{what} are floats from {low:g} to {high:g}",
            hint="store pixels as uint8, or as floats from 0 to 1; describe the network's preprocessing with "
            "--mean, --std and --scale",
        )
    return lambda pixels: pixels.astype(np.float32)


def _range(images: Array) -> tuple[float, float]:
    """The smallest and the largest value, by pieces that need little memory."""
    if images.size == 0:
        return 0.0, 0.0
    pieces = [images[first : first + 256] for first in range(0, len(images), 256)]
    return float(np.min([piece.min() for piece in pieces])), float(np.max([piece.max() for piece in pieces]))


def _labels(what: str, labels: Array, count: int) -> Labels:
    flat = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if flat.ndim != 1 or len(flat) != count or flat.dtype.kind not in "iu":
        raise DataError(
            f"the labels of {what} are {labels.dtype} of shape {labels.shape}",
            hint=f"give the numbers of the classes as integers ({count},); argmax(axis=1) makes them of one-hot rows",
        )
    return flat.astype(np.int64)
