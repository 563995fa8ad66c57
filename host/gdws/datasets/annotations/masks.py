"""The class of each pixel, in images whose values are the classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gdws.datasets.annotations.truth import Frame
from gdws.errors import DataError, first_line

#: Pixels of this value belong to no class, as in Pascal VOC and Cityscapes.
NO_CLASS = 255


@dataclass(frozen=True)
class Masks:
    """Those in ``folder``: ``street.png`` tells of ``street.jpg``."""

    folder: Path
    class_names: tuple[str, ...]
    frame: Frame

    def of(self, image: str) -> Tensor:
        """The classes (H, W) int64, -1 where there is none, also where an image is padded.

        Raises :class:`~gdws.errors.DataError` if there is no such file or it holds colours.
        """
        path = self.folder / f"{Path(image).stem}.png"
        try:
            with Image.open(path) as mask:
                if mask.mode not in ("L", "P", "1"):
                    raise ValueError(f"its pixels are {mask.mode}, not the numbers of classes in 8 bits")
                values = np.array(mask).astype(np.uint8)
        except Exception as error:  # damaged images fail in many ways
            raise DataError(f"{path} is not a mask: {first_line(error)}", hint="store classes as grey .png") from error
        _, height, width = self.frame.preparation.shape
        place = self.frame.preparation.resize.place(values.shape, (height, width))
        inner = Image.fromarray(values).resize((place.width, place.height), Image.Resampling.NEAREST)
        whole = Image.new("L", (width, height), NO_CLASS)
        whole.paste(inner, (place.left, place.top))
        found = torch.from_numpy(np.array(whole)).long()
        return torch.where(found == NO_CLASS, -1, found)


def read_masks(path: Path, frame: Frame, names: Sequence[str]) -> Masks:
    """The masks in the folder at ``path``; the classes are ``names``, if they are known."""
    return Masks(path, tuple(names), frame)
