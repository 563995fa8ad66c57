"""A data set of images or signals of the user's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from gdws._util.text_files import read_text
from gdws._util.threads import map_in_threads
from gdws.datasets.annotations import Annotations, open_annotations
from gdws.datasets.images import LazyImages
from gdws.datasets.own.arrays import in_arrays
from gdws.datasets.own.files import Files, Unreadable, in_folder, in_list, readable
from gdws.datasets.own.pool import Labels, Pool, numbered
from gdws.datasets.own.signals import Signals
from gdws.datasets.preparation import Preparation, Resize
from gdws.datasets.splits import Dataset, Split, divide
from gdws.errors import DataError
from gdws_contract.findings.text import plural

#: The share of images that are for testing, where nobody divided them, and that of the others to validate with.
TEST, VALIDATION = 0.3, 0.3

_ARRAYS = (".npy", ".npz")
_LISTS = (".txt", ".csv", ".tsv", ".lst")
_KINDS = f"a folder of images, a folder for each class, a list ({', '.join(_LISTS)}), or {' or '.join(_ARRAYS)}"


def open_images(
    path: str | Path,
    shape: tuple[int, ...],
    *,
    labels: str | Path | None = None,
    annotations: str | Path | None = None,
    resize: Resize | str = "stretch",
    unreadable: Unreadable = "refuse",
    seed: int = 0,
) -> Dataset:
    """Images of your own, as a network that takes ``shape`` (C, H, W) needs them; they are read when they are used.

    Or signals (C, L) or (L,), which are in arrays and stay as they are.

    ``path`` is one of:

    - a folder with a folder of images for each class;
    - a folder of images, which have no labels;
    - a folder with a folder for each split (``train``, ``val``, ``test``) that is one of the two;
    - a text file that lists paths, one a line, each with its class behind a comma, a tab or a space, or all without;
    - a ``.npy``, or a ``.npz`` with ``images`` and ``labels``, or ``x_train``, ``y_train``, ``x_test``, ``y_test``.

    Args:
        labels: a text file with the names of the classes, one a line, in the order of the network's outputs. Without it
            classes are numbered in the order of their names; in a list they may be numbers.
        annotations: what is in the images of a folder or a list beside their class, for networks that are no
            classifiers: see :func:`gdws.datasets.annotations.open_annotations`.
        resize: how images of another size get to the network's: a :class:`~gdws.datasets.Resize`, or a text that
            :meth:`~gdws.datasets.Resize.parse` understands.
        unreadable: whether a file that cannot be read as an image is an error, or is left out.
        seed: chooses the validation images among those that are not for testing.

    Images that nobody divided are divided by their contents: 49 % to fit networks to, 21 % to choose on, 30 % to test
    with. Every class is spread over the three, and identical images are never apart. Where there are splits, those
    that are missing are divided off the training images.

    Raises :class:`DataError` that says what is wrong with which file, and how to fix it.
    """
    path = Path(path)
    how = Resize.parse(resize) if isinstance(resize, str) else resize
    preparation = _preparation(shape, how)
    things = "images" if isinstance(preparation, Preparation) else "signals"
    order = None if labels is None else _lines(Path(labels))
    truths = None if annotations is None else _annotations(path, Path(annotations), preparation, order)
    pools, names, notes = _pools(path, preparation, None if truths else order, unreadable, truths)
    names = truths.class_names if truths else names
    total = sum(pool.count for pool in pools.values())
    if not total:
        raise DataError(f"{path} has no {things}", hint=f"give {_KINDS}")
    known = [pool.labels for pool in pools.values() if pool.labels is not None]
    if known and len(known) < len(pools):
        raise DataError(f"{path} has labels for some of its splits, and none for others")
    train, validation, test, repeated = _divided(pools, seed)
    if repeated:
        notes += (f"{repeated:,} test {things} are training {things}, too: what is measured on them is too good",)
    classes = len(names) or max((int(each.max(initial=-1)) + 1 for each in known), default=0)
    kind = f"annotations in {annotations}" if truths else f"{classes} classes" if known else "no labels"
    counts = f"{len(train):,} to fit to, {len(validation):,} to choose on, {len(test):,} to test with"
    return Dataset(
        path.resolve().name,
        classes,
        train.split(shape, f"{path} leaves no {things} to fit to"),
        validation.split(shape, f"{path} leaves no {things} to choose on"),
        test.split(shape, f"{path} leaves no {things} to test with"),
        preparation=preparation.to_dict(),
        class_names=names,
        notes=(f"{path}: {plural(total, things[:-1])}, {kind}: {counts}; made {preparation}", *notes),
    )


def _annotations(
    images: Path, path: Path, preparation: Preparation | Signals, order: tuple[str, ...] | None
) -> Annotations:
    if isinstance(preparation, Signals) or images.suffix.lower() in _ARRAYS:
        raise DataError(f"annotations go by the names of images' files, which {images} does not have")
    return open_annotations(path, preparation, order or ())


def _preparation(shape: tuple[int, ...], resize: Resize) -> Preparation | Signals:
    if len(shape) == 3:
        return Preparation(shape, resize)
    if resize != Resize():
        raise DataError(f"the network takes signals, which are not resized ({resize})", hint="leave it out")
    return Signals(shape)


@dataclass(frozen=True, eq=False)
class _Part:
    """The images of ``pool`` at ``rows`` (n,)."""

    pool: Pool
    rows: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def split(self, shape: tuple[int, ...], absent: str) -> Split:
        labels = None if self.pool.labels is None else torch.from_numpy(self.pool.labels[self.rows])
        truth, rows = self.pool.truth, self.rows.tolist()
        return Split(
            LazyImages(self.pool.read, rows, shape),
            labels,
            absent=absent,
            truth=None if truth is None else lambda row: truth(rows[row]),
        )


def _pools(
    path: Path,
    preparation: Preparation | Signals,
    order: tuple[str, ...] | None,
    unreadable: Unreadable,
    annotations: Annotations | None,
) -> tuple[dict[str, Pool], tuple[str, ...], tuple[str, ...]]:
    """The images by split, the names of their classes where they have names, and what to say of them."""
    if path.suffix.lower() in _ARRAYS:
        if order is not None:
            raise DataError(f"the labels in {path} are numbers, which have an order", hint="leave --labels out")
        return in_arrays(path, preparation), (), ()
    if isinstance(preparation, Signals):
        raise DataError(
            f"the network takes signals of {preparation.shape}, and {path} is not a file of arrays",
            hint="give .npy or .npz, with the signals in the rows of one array",
        )
    if path.is_dir():
        found = in_folder(path)
    elif path.suffix.lower() in _LISTS:
        found = {"": in_list(path)}
    else:
        problem = "is not a file of images that can be opened" if path.exists() else "does not exist"
        raise DataError(f"{path} {problem}", hint=f"give {_KINDS}")
    notes: tuple[str, ...] = ()
    for split, files in found.items():
        found[split], more = readable(files, unreadable, preparation)
        notes += more
    names = {name for files in found.values() for name in files.classes or ()}
    if order is not None and not names:
        raise DataError(f"the images of {path} have no labels whose order could be told", hint="leave --labels out")
    are_numbers = order is None and all(name.isascii() and name.isdecimal() for name in names) and not path.is_dir()
    names_in_order = order or (() if are_numbers else tuple(sorted(names)))

    def labels(files: Files) -> Labels | None:
        if files.classes is None:
            return None
        return (
            np.array([int(name) for name in files.classes]) if are_numbers else numbered(files.classes, names_in_order)
        )

    pools = {split: files.pool(labels(files), preparation, annotations) for split, files in found.items()}
    return pools, names_in_order, notes


def _divided(pools: Mapping[str, Pool], seed: int) -> tuple[_Part, _Part, _Part, int]:
    """The parts to train, to validate and to test, and how many of the latter are among the first."""
    contents = {split: map_in_threads(pool.contents, range(pool.count)) for split, pool in pools.items()}

    def divided(split: str, rows: npt.NDArray[np.int64], shares: tuple[float, ...], salt: str) -> list[_Part]:
        pool = pools[split]
        labels = np.zeros(pool.count, np.int64) if pool.labels is None else pool.labels
        parts = divide([contents[split][row] for row in rows.tolist()], labels[rows], shares, salt=salt)
        return [_Part(pool, rows[part]) for part in parts]

    def whole(split: str) -> npt.NDArray[np.int64]:
        return np.arange(pools[split].count)

    salt = f"validation/{seed}"
    if len(pools) == 1 and (first := next(iter(pools))) in ("", "train"):
        rest, test = divided(first, whole(first), (1 - TEST, TEST), "test")
        train, validation = divided(first, rest.rows, (1 - VALIDATION, VALIDATION), salt)
        return train, validation, test, 0
    tested = "test" if "test" in pools else "validation"
    [test] = divided(tested, whole(tested), (1.0,), "test")
    if "train" not in pools:
        nothing = _Part(test.pool, test.rows[:0])
        return nothing, nothing, test, 0
    if "validation" in pools and tested == "test":
        [train], [validation] = (divided(split, whole(split), (1.0,), salt) for split in ("train", "validation"))
    else:
        train, validation = divided("train", whole("train"), (1 - VALIDATION, VALIDATION), salt)
    repeated = set(contents["train"])
    return train, validation, test, sum(content in repeated for content in contents[tested])


def _lines(path: Path) -> tuple[str, ...]:
    """The names in the file of ``--labels``."""
    names = tuple(line.strip() for line in read_text(path).splitlines() if line.strip())
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{path} names the class {twice!r} twice", hint="write each name once, one a line")
    return names
