"""Annotations in any of the formats that are read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gdws.datasets.annotations.coco import read_coco
from gdws.datasets.annotations.masks import read_masks
from gdws.datasets.annotations.truth import Annotations, Frame
from gdws.datasets.annotations.yolo import read_yolo
from gdws.datasets.preparation import Preparation
from gdws.errors import DataError


def open_annotations(path: str | Path, preparation: Preparation, names: Sequence[str] = ()) -> Annotations:
    """What is known of images beside their class, in the frame that ``preparation`` makes of them.

    ``path`` is a JSON file of objects as COCO has them, a folder of ``.txt`` files of objects as YOLO has them, or a
    folder of ``.png`` masks. ``names`` are the classes in the order of the network's.
    Raises :class:`~gdws.errors.DataError` for anything else.
    """
    path, frame = Path(path), Frame(preparation)
    if path.is_file() and path.suffix.lower() == ".json":
        return read_coco(path, frame, names)
    if path.is_dir():
        suffixes = {each.suffix.lower() for each in path.iterdir() if not each.name.startswith(".")}
        if ".txt" in suffixes and ".png" not in suffixes:
            return read_yolo(path, frame, names)
        if ".png" in suffixes and ".txt" not in suffixes:
            return read_masks(path, frame, names)
    problem = "are no annotations" if path.exists() else "does not exist"
    raise DataError(
        f"{path} {problem}",
        hint="give a .json file as COCO has it, a folder of .txt files as YOLO has them, or one of .png masks alone",
    )
