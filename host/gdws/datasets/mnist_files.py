"""MNIST and Fashion-MNIST (Xiao et al., 2017, arXiv:1708.07747) from their four published IDX files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from gdws.datasets.idx_file import read_idx
from gdws.datasets.splits import Dataset, Split, hold_out
from gdws.errors import DataError

TRAIN, TEST = 60_000, 10_000
VALIDATION_PER_CLASS = 500
SIDE, CLASSES = 28, 10

#: Where Debian's package ``dataset-fashion-mnist`` puts the files.
DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")

_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def fashion_mnist(root: str | Path | None = None, *, seed: int = 0) -> Dataset:
    """Fashion-MNIST: 55,000 images to train, 5,000 to validate, 10,000 to test, each (1, 28, 28).

    The files, gzipped or not, are looked for in ``root``, in ``FashionMNIST/raw`` within it, where torchvision puts
    them, and where Debian's package puts them. The test images are in the published order. An image's place in train
    or validation follows from its pixels and ``seed``; 500 of each class validate. All take 220 MB.
    Raises :class:`DataError` if files are absent, damaged, or of another size.
    """
    hint = "apt install dataset-fashion-mnist, or give the folder of its four files with --data-root"
    folders = [*_within(root, "FashionMNIST"), DEBIAN_FASHION_MNIST]
    return _dataset("fashion-mnist", folders, hint, seed)


def mnist(root: str | Path, *, seed: int = 0) -> Dataset:
    """MNIST whole; places, splits and errors as for :func:`fashion_mnist`, without Debian's."""
    hint = "put its four files there, e.g. by torchvision.datasets.MNIST(root, download=True)"
    return _dataset("mnist", _within(root, "MNIST"), hint, seed)


def _within(root: str | Path | None, torchvision_name: str) -> list[Path]:
    return [] if root is None else [Path(root), Path(root) / torchvision_name / "raw"]


def _dataset(name: str, folders: list[Path], hint: str, seed: int) -> Dataset:
    train_images, train_classes, test_images, test_classes = _find(name, folders, hint)
    pixels, labels = _read(train_images, train_classes, TRAIN)
    test_pixels, test_labels = _read(test_images, test_classes, TEST)
    train, validation = hold_out(
        np.arange(TRAIN),
        lambda row: bytes(pixels[row].tobytes()),
        labels,
        VALIDATION_PER_CLASS,
        salt=f"validation/{seed}",
    )
    return Dataset(
        name,
        classes=CLASSES,
        train=_split(pixels[train], labels[train]),
        validation=_split(pixels[validation], labels[validation]),
        test=_split(test_pixels, test_labels),
    )


def _find(name: str, folders: list[Path], hint: str) -> list[Path]:
    """The four files, all in the first of ``folders`` that has any of them."""
    for folder in folders:
        found = [_existing(folder / file) for file in _FILES]
        if any(found):
            absent = [folder / file for file, path in zip(_FILES, found, strict=True) if path is None]
            if absent:
                raise DataError(f"{name}: {absent[0]}[.gz] is absent", hint=hint)
            return [path for path in found if path is not None]
    raise DataError(f"{name}: no {_FILES[0]}[.gz] in {' or '.join(map(str, folders))}", hint=hint)


def _existing(path: Path) -> Path | None:
    return next((each for each in (path, path.with_name(f"{path.name}.gz")) if each.is_file()), None)


def _read(images: Path, labels: Path, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (N, 28, 28) and labels (N,), uint8."""
    pixels, classes = read_idx(images, (count, SIDE, SIDE)), read_idx(labels, (count,))
    if int(classes.max()) >= CLASSES:
        raise DataError(f"{labels} has the label {int(classes.max())}, and there are {CLASSES} classes")
    return pixels, classes


def _split(pixels: np.ndarray, labels: np.ndarray) -> Split:
    images = torch.from_numpy(pixels.astype(np.float32)[:, None])
    return Split(images.div_(255), torch.from_numpy(labels.astype(np.int64)))
