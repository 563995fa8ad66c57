"""ImageNet from folders of images, read on demand."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from gdws.datasets.images import LazyImages
from gdws.datasets.preparation import Preparation, Resize
from gdws.datasets.splits import Dataset, Split, hold_out
from gdws.errors import DataError

VALIDATION_PER_CLASS = 10
SIZE, CROP = 256, 224
"""Pixels: the shorter side of the resized image, and the sides of the square cut from its middle."""

_SUFFIXES = (".jpeg", ".jpg", ".png", ".webp")
_HINT = "the layout is train/<class>/*.JPEG and val/<class>/*.JPEG, with a folder for each class"
_PREPARATION = Preparation((3, CROP, CROP), Resize("crop", SIZE))


def imagenet(root: str | Path, *, seed: int = 0, classes: int = 1000) -> Dataset:
    """ImageNet from ``root``, a folder with ``train`` and ``val``, each with a folder for each class.

    Labels are the indices of the sorted folder names. An image is resized to 256 pixels on the shorter side and
    center-cropped to 224 x 224. The test split is ``val``. Ten images of each class are held out of ``train`` for
    validation; without a folder ``train`` both splits are empty. An image's split and position follow from its file
    name and ``seed``; the classes are shuffled, so the beginning of a split is a fair sample.
    Raises :class:`DataError` if the folders have another layout, or other files; hidden files are ignored.
    """
    root = Path(root)
    test_files, test_labels, names = _listed(root / "val", classes)
    files: list[str] = []
    labels = np.empty(0, dtype=np.int64)
    if (root / "train").is_dir():
        files, labels, others = _listed(root / "train", classes)
        if others != names:
            different = ", ".join(sorted(set(others) ^ set(names))[:3])
            raise DataError(f"{root}: train and val have different classes: {different}", hint=_HINT)
    train, validation = hold_out(
        np.arange(len(files)), _name_of(files), labels, VALIDATION_PER_CLASS, salt=f"validation/{seed}"
    )
    _, test = hold_out(np.arange(len(test_files)), _name_of(test_files), test_labels, len(test_files), salt="test")
    absent = f"{root / 'train'} is absent or has no images to spare"
    return Dataset(
        "imagenet",
        classes,
        _split(files, labels, train, absent),
        _split(files, labels, validation, absent),
        _split(test_files, test_labels, test, f"{root / 'val'} has no images"),
    )


def _name_of(files: Sequence[str]) -> Callable[[int], bytes]:
    """The name of a row's file with its class, wherever the folder lies."""
    return lambda row: "/".join(files[row].split(os.sep)[-2:]).encode()


def _split(files: Sequence[str], labels: np.ndarray, rows: np.ndarray, absent: str) -> Split:
    images = LazyImages(lambda place: _PREPARATION.of_file(files[place]), rows.tolist(), _PREPARATION.shape)
    return Split(images, torch.from_numpy(labels[rows]), absent=absent)


def _listed(folder: Path, classes: int) -> tuple[list[str], np.ndarray, list[str]]:
    """The images in the folders of a folder, their labels (N,), and the names of the classes."""
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder", hint=_HINT)
    names: list[str] = []
    files: list[str] = []  # paths would take half a gigabyte
    labels: list[int] = []
    for place in _visible(folder):
        if not place.is_dir():
            raise DataError(f"{place.path} is not a folder of a class", hint=f"move it elsewhere; {_HINT}")
        found = _visible(place)
        stray = [path for path in found if not path.name.lower().endswith(_SUFFIXES)]
        if stray:
            raise DataError(
                f"{stray[0].path} is not an image", hint=f"move it elsewhere; images end in {', '.join(_SUFFIXES)}"
            )
        if not found:
            raise DataError(f"{place.path} has no images", hint="remove the folder, or restore its images")
        labels += [len(names)] * len(found)
        names.append(place.name)
        files += [entry.path for entry in found]
    if len(names) != classes:
        raise DataError(f"{folder} has {len(names)} classes, not {classes:,}", hint=_HINT)
    return files, np.array(labels, dtype=np.int64), names


def _visible(folder: str | os.PathLike[str]) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
