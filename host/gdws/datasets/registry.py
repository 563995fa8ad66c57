"""The data sets known by name, with fixed training, validation and test splits.

Splits do not come from a random generator but from SHA-256 digests of the images, so they do not depend on library
versions or the order of the source. Nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gdws.datasets.image_folders import imagenet
from gdws.datasets.mnist import mnist_sample
from gdws.datasets.mnist_files import fashion_mnist, mnist
from gdws.datasets.random_images import random_images
from gdws.datasets.small import cifar10, svhn
from gdws.datasets.splits import Dataset, Split, check_images
from gdws.errors import DataError

__all__ = [
    "Dataset",
    "Split",
    "check_images",
    "cifar10",
    "fashion_mnist",
    "imagenet",
    "load",
    "mnist",
    "mnist_sample",
    "names",
    "random_images",
    "svhn",
]

_FROM_DISK: dict[str, Callable[..., Dataset]] = {
    "cifar10": cifar10,
    "fashion-mnist": fashion_mnist,
    "imagenet": imagenet,
    "mnist": mnist,
    "svhn": svhn,
}
_SHIPPED: dict[str, Callable[..., Dataset]] = {"mnist-sample": mnist_sample}
#: Data sets that are also searched where a system package puts them.
_PACKAGED = ("fashion-mnist",)


def names() -> list[str]:
    """The names that :func:`load` takes, sorted."""
    return sorted({*_SHIPPED, *_FROM_DISK})


def load(name: str, *, seed: int = 0, root: str | Path | None = None) -> Dataset:
    """A data set by name; ``seed`` chooses the validation split.

    ``root`` is the folder of the data sets that do not ship: it has the files, or a subfolder of the set's name.
    ``fashion-mnist`` is found without it if Debian's package is installed.
    Raises :class:`DataError`.
    """
    if name in _SHIPPED:
        return _SHIPPED[name](seed=seed)
    if name not in _FROM_DISK:
        raise DataError(f"there is no data set {name!r}", hint=f"use one of: {', '.join(names())}")
    read = _FROM_DISK[name]
    if root is None:
        if name in _PACKAGED:
            return read(seed=seed)
        raise DataError(f"the location of {name} is unknown", hint="give its folder with --data-root or GDWS_DATA_ROOT")
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"{root} is not a folder", hint=f"give the folder that contains {name}")
    return read(root / name if (root / name).is_dir() else root, seed=seed)
