"""CIFAR-10 and SVHN from their published files, loaded into memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from gdws.datasets.splits import Dataset, Split, hold_out
from gdws.errors import DataError, first_line

VALIDATION_PER_CLASS = 100
"""Of 5,000 and more: the 1,000 images that Rice et al. (2020) hold out of CIFAR-10."""

Pixels = np.ndarray
"""(N, 3, 32, 32) uint8."""


def cifar10(root: str | Path, *, seed: int = 0) -> Dataset:
    """CIFAR-10 from its Python pickles in ``root``: 49,000 images to train, 1,000 to validate, 10,000 to test.

    The test images are in the published order. An image's place in train or validation follows from its pixels and
    ``seed``. All take 740 MB.
    Raises :class:`DataError` if files are absent or not the published ones, told by their checksums.
    """
    from torchvision.datasets import CIFAR10

    def read(train: bool) -> tuple[Pixels, np.ndarray]:
        found = CIFAR10(str(root), train=train, download=False)
        return found.data.transpose(0, 3, 1, 2), np.asarray(found.targets)

    folder = Path(root) / CIFAR10.base_folder
    files = [folder / name for name, _ in (*CIFAR10.train_list, *CIFAR10.test_list)]
    hint = f"put the folder {CIFAR10.base_folder} of {CIFAR10.filename} there, from https://www.cs.toronto.edu/~kriz/"
    return _dataset("cifar10", lambda: (read(True), read(False)), files, hint, seed)


def svhn(root: str | Path, *, seed: int = 0) -> Dataset:
    """SVHN, cropped digits, from its ``.mat`` files in ``root``: 72,257 images to train, 1,000 to validate.

    The 26,032 test images are in the published order. An image's place and errors are as for :func:`cifar10`. All take
    1.2 GB; the extra training images are not used.
    """
    from torchvision.datasets import SVHN

    def read(split: str) -> tuple[Pixels, np.ndarray]:
        found = SVHN(str(root), split=split, download=False)
        return found.data, found.labels

    names = [SVHN.split_list[split][1] for split in ("train", "test")]
    hint = f"put {' and '.join(names)} there, from http://ufldl.stanford.edu/housenumbers/"
    return _dataset("svhn", lambda: (read("train"), read("test")), [Path(root) / name for name in names], hint, seed)


def _dataset(
    name: str,
    read: Callable[[], tuple[tuple[Pixels, np.ndarray], tuple[Pixels, np.ndarray]]],
    files: list[Path],
    hint: str,
    seed: int,
) -> Dataset:
    absent = [path for path in files if not path.is_file()]
    if absent:
        raise DataError(f"{name}: {absent[0]} is absent", hint=hint)
    try:
        (pixels, labels), (test_pixels, test_labels) = read()
    except Exception as error:  # damaged files fail in many ways
        # torchvision knows them by their checksums, and offers to download others, which is not done here.
        reason = "their checksums are not the published ones" if isinstance(error, RuntimeError) else first_line(error)
        raise DataError(
            f"{name}: the files in {files[0].parent} are damaged or not the published ones: {reason}", hint=hint
        ) from error
    for what in (pixels, test_pixels):
        if what.dtype != np.uint8 or what.shape[1:] != (3, 32, 32):
            raise DataError(f"{name}: images are {what.dtype} {what.shape[1:]}, not uint8 (3, 32, 32)", hint=hint)
    train, validation = hold_out(
        np.arange(len(labels)),
        lambda row: bytes(pixels[row].tobytes()),
        labels,
        VALIDATION_PER_CLASS,
        salt=f"validation/{seed}",
    )
    return Dataset(
        name,
        classes=10,
        train=_split(pixels[train], labels[train]),
        validation=_split(pixels[validation], labels[validation]),
        test=_split(test_pixels, test_labels),
    )


def _split(pixels: Pixels, labels: np.ndarray) -> Split:
    images = torch.from_numpy(pixels.astype(np.float32))
    return Split(images.div_(255), torch.from_numpy(labels.astype(np.int64)))
