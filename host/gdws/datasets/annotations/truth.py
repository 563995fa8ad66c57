"""The truth about one image, in the frame of the network's images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from PIL import Image
from torch import Tensor

from gdws.datasets.preparation import Preparation
from gdws.errors import DataError, first_line

#: Of a camera's orientation, by EXIF: these turn an image on its side.
_ORIENTATION, _ON_ITS_SIDE = 0x0112, (5, 6, 7, 8)


class Objects(NamedTuple):
    """``boxes`` (n, 4) float32 as x1, y1, x2, y2 in pixels, ``classes`` (n,) int64.

    ``is_crowd`` (n,) marks boxes around many objects, in which detections count neither for a network nor against it.
    """

    boxes: Tensor
    classes: Tensor
    is_crowd: Tensor


#: Objects, or the class of each pixel (H, W) int64, -1 where there is none.
Truth = Objects | Tensor


class Annotations(Protocol):
    """What is known of images by their paths. ``class_names`` are in the order of the network's classes."""

    @property
    def class_names(self) -> tuple[str, ...]: ...

    def of(self, image: str) -> Truth:
        """The truth about the image at that path. Raises :class:`~gdws.errors.DataError` if it is not known."""


@dataclass(frozen=True)
class Frame:
    """Where an image of another size lies in the network's images."""

    preparation: Preparation

    def objects(self, image: str, boxes: Tensor, classes: Tensor, is_crowd: Tensor) -> Objects:
        """``boxes`` (n, 4) as x1, y1, x2, y2 in shares of the image; what lies outside the frame is cut off."""
        _, height, width = self.preparation.shape
        place = self.preparation.resize.place(size_of(image), (height, width))
        scale = torch.tensor([place.width, place.height] * 2, dtype=torch.float32)
        shift = torch.tensor([place.left, place.top] * 2, dtype=torch.float32)
        limit = torch.tensor([width, height] * 2, dtype=torch.float32)
        found = (boxes.float() * scale + shift).clamp(min=0).minimum(limit)
        seen = (found[:, 2] > found[:, 0]) & (found[:, 3] > found[:, 1])
        return Objects(found[seen], classes[seen], is_crowd[seen])


def size_of(path: str) -> tuple[int, int]:
    """(H, W) of the image at ``path``, upright. Raises :class:`~gdws.errors.DataError` that names the file."""
    try:
        with Image.open(path) as image:
            width, height = image.size
            return (width, height) if image.getexif().get(_ORIENTATION) in _ON_ITS_SIDE else (height, width)
    except Exception as error:  # damaged images fail in many ways
        raise DataError(f"{path} cannot be read: {first_line(error)}") from error


def name_of(path: str) -> str:
    """What annotations call an image by: its file's name without the folder."""
    return Path(path).name
