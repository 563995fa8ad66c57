"""Images in files: which there are below a folder or in a list, and which of them can be read."""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image

from gdws._util.text_files import read_text
from gdws._util.threads import map_in_threads
from gdws.datasets.annotations.truth import Annotations
from gdws.datasets.own.pool import Labels, Pool
from gdws.datasets.preparation import Preparation
from gdws.errors import DataError, first_line

#: What is done with files that cannot be read as images: ``skip`` reads every file once to find them.
Unreadable = Literal["refuse", "skip"]

#: Names of folders that hold splits, by what the split is called here.
SPLITS: Mapping[str, tuple[str, ...]] = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val"),
    "test": ("test", "testing"),
}
_KNOWN = {name: split for split, names in SPLITS.items() for name in names}

#: Bytes at either end of a file that, with its size, tell it from others; equal files are never told apart.
_END = 65_536
_SHOWN = 5


@dataclass(frozen=True)
class Files:
    """Paths of images, and the name of each one's class; ``classes`` is None where there are none."""

    paths: tuple[str, ...]
    classes: tuple[str, ...] | None

    def only(self, kept: Sequence[bool]) -> Files:
        """Those that are kept."""
        paths = tuple(path for path, keep in zip(self.paths, kept, strict=True) if keep)
        if self.classes is None:
            return Files(paths, None)
        return Files(paths, tuple(name for name, keep in zip(self.classes, kept, strict=True) if keep))

    def pool(self, labels: Labels | None, preparation: Preparation, annotations: Annotations | None) -> Pool:
        """The images, to be read when they are asked for, as are their annotations."""
        paths = self.paths
        return Pool(
            count=len(paths),
            read=lambda place: preparation.of_file(paths[place]),
            contents=lambda place: _digest(paths[place]),
            labels=labels,
            truth=None if annotations is None else lambda place: annotations.of(paths[place]),
        )


def in_folder(root: Path) -> dict[str, Files]:
    """The files below ``root``, by split; the only key is "" where the folders do not say which image is for what.

    A folder of images has no labels. In a folder of folders each is a class, or else all are named like splits, see
    :data:`SPLITS`, and each is either of the two. Hidden files are passed over.
    Raises :class:`DataError` for anything else.
    """
    folders, files = _entries(root)
    splits = {folder.name: _KNOWN.get(folder.name.lower()) for folder in folders}
    if not files and folders and all(splits.values()):
        found = {str(splits[folder.name]): _one_split(Path(folder)) for folder in folders}
        if len(found) < len(folders):
            raise DataError(f"{root} has a split under two names", hint=f"its folders are {', '.join(splits)}")
        if len({split.classes is None for split in found.values()}) > 1:
            raise DataError(f"in {root} some splits have a folder for each class, and others do not")
        return found
    return {"": _one_split(root)}


def in_list(path: Path) -> Files:
    """The files that a text file lists, one a line, each alone or with its class behind a comma, a tab or a space.

    Paths are relative to the list's folder. Raises :class:`DataError` naming the line that cannot be understood.
    """
    rows: list[tuple[str, str | None]] = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name, label = _parsed(line, path.parent)
        if rows and (label is None) != (rows[0][1] is None):
            raise DataError(
                f"{path}, line {number}: some lines have a class and others have none",
                hint="give every image a class, or none",
            )
        rows.append((str(path.parent / name), label))
    labels = tuple(label for _, label in rows if label is not None)
    return Files(tuple(name for name, _ in rows), labels or None)


def readable(files: Files, policy: Unreadable, preparation: Preparation) -> tuple[Files, tuple[str, ...]]:
    """The files that can be read, and what to say of others.

    Raises :class:`DataError` that names some of them if they are to be refused. ``refuse`` looks at the beginning of
    each file alone: one that is cut off is found when it is read.
    """
    check = _problem_in_header if policy == "refuse" else _Decoding(preparation).problem
    problems = map_in_threads(check, files.paths)
    bad = [(path, problem) for path, problem in zip(files.paths, problems, strict=True) if problem is not None]
    if not bad:
        return files, ()
    shown = "; ".join(f"{path}: {problem}" for path, problem in bad[:_SHOWN]) + ("; …" if len(bad) > _SHOWN else "")
    said = f"{len(bad):,} of {len(files.paths):,} files cannot be read as images: {shown}"
    if policy == "refuse":
        raise DataError(said, hint="move them away, or leave them out with --unreadable skip")
    return files.only([problem is None for problem in problems]), (f"skipped: {said}",)


def _entries(folder: Path) -> tuple[list[os.DirEntry[str]], list[os.DirEntry[str]]]:
    """The folders and the files in a folder, by name, but for hidden ones."""
    try:
        with os.scandir(folder) as found:
            entries = sorted((each for each in found if not each.name.startswith(".")), key=lambda each: each.name)
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {first_line(error)}") from error
    return [each for each in entries if each.is_dir()], [each for each in entries if not each.is_dir()]


def _one_split(root: Path) -> Files:
    folders, files = _entries(root)
    if folders and files:
        raise DataError(
            f"{root} has files ({files[0].name}, …) and folders ({folders[0].name}, …)",
            hint="keep only a folder for each class, or only images, which then have no labels",
        )
    if not folders:
        return Files(tuple(each.path for each in files), None)
    found = [(path, folder.name) for folder in folders for path in _below(folder.path)]
    return Files(tuple(path for path, _ in found), tuple(name for _, name in found))


def _below(folder: str) -> Iterator[str]:
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (os.path.join(place, name) for name in sorted(files) if not name.startswith("."))


def _parsed(line: str, folder: Path) -> tuple[str, str | None]:
    """The path and the class in a line; a path may hold spaces."""
    for separator in ("\t", ","):
        if separator in line:
            name, label = next(csv.reader([line], delimiter=separator))[:2]
            return name.strip(), label.strip()
    if (folder / line.strip()).exists():
        return line.strip(), None
    name, _, label = line.strip().rpartition(" ")
    return (name.strip(), label) if name else (label, None)


def _digest(path: str) -> bytes:
    """What tells a file from others: of its size, its beginning and its end."""
    size = os.path.getsize(path)
    with open(path, "rb") as stream:
        digest = hashlib.sha256(size.to_bytes(8, "big") + stream.read(_END))
        if size > _END:
            stream.seek(max(_END, size - _END))
            digest.update(stream.read())
    return digest.digest()


def _problem_in_header(path: str) -> str | None:
    try:
        with Image.open(path):
            return None
    except Exception as error:  # damaged images fail in many ways
        return first_line(error).replace(repr(path), "it")


@dataclass(frozen=True)
class _Decoding:
    preparation: Preparation

    def problem(self, path: str) -> str | None:
        try:
            self.preparation.of_file(path)
        except DataError as error:
            return error.message.partition("cannot be read: ")[2].replace(repr(path), "it")
        return None
