"""Objects in text files, as YOLO networks are trained with: one for each image, a line for each object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from gdws._util.text_files import read_text
from gdws.datasets.annotations.truth import Frame, Objects
from gdws.errors import DataError


@dataclass(frozen=True)
class YoloObjects:
    """Those in ``folder``: ``street.txt`` tells of ``street.jpg``. An image without a file has no objects."""

    folder: Path
    class_names: tuple[str, ...]
    frame: Frame

    def of(self, image: str) -> Objects:
        """The objects in an image. Raises :class:`~gdws.errors.DataError` naming a line that cannot be understood."""
        path = self.folder / f"{Path(image).stem}.txt"
        lines = read_text(path).splitlines() if path.exists() else []
        rows = [
            self._parsed(line, f"{path}, line {number}") for number, line in enumerate(lines, start=1) if line.strip()
        ]
        found = torch.tensor([row[1:] for row in rows], dtype=torch.float64).reshape(-1, 4)
        centre, half = found[:, :2], found[:, 2:] / 2
        classes = torch.tensor([row[0] for row in rows], dtype=torch.int64)
        corners = torch.cat((centre - half, centre + half), dim=1)
        return self.frame.objects(image, corners, classes, torch.zeros(len(rows), dtype=torch.bool))

    def _parsed(self, line: str, where: str) -> Sequence[float]:
        """The number of the class, then centre and size in shares of the image."""
        try:
            number, *box = line.split()
            row = [int(number), *map(float, box)]
        except ValueError:
            row = []
        if len(row) != 5 or row[0] < 0 or not all(0 <= each <= 1 for each in row[1:]):
            raise DataError(
                f"{where}: {line!r} is not a class and a box",
                hint="write: class centre-x centre-y width height, of which the last four are shares of the image",
            )
        if self.class_names and row[0] >= len(self.class_names):
            raise DataError(f"{where}: class {row[0]:g} of {len(self.class_names)} that --labels names")
        return row


def read_yolo(path: Path, frame: Frame, names: Sequence[str]) -> YoloObjects:
    """The objects in the text files of the folder at ``path``; the classes are ``names``, if they are known."""
    return YoloObjects(path, tuple(names), frame)
