"""Converts images of any size and mode to a network's input."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps
from torch import Tensor

from gdws.errors import DataError, first_line

Policy = Literal["stretch", "crop", "letterbox"]

#: What letterboxed images are padded with, as YOLO networks are trained.
PADDING = 114 / 255

#: ITU-R BT.601, as Pillow converts colour to grey.
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)

#: (H, W, channels): uint8, or float32 in [0, 1].
Pixels = npt.NDArray[Any]


class Place(NamedTuple):
    """An image of ``height`` by ``width`` pixels with its upper left corner at ``top`` and ``left`` of a frame.

    Negative numbers lie outside the frame.
    """

    height: int
    width: int
    top: int
    left: int


@dataclass(frozen=True)
class Resize:
    """How to resize an image, bilinearly with antialiasing.

    ``stretch`` changes the aspect ratio. ``crop`` resizes the shorter side to ``shorter_side`` pixels, by default the
    smallest that suffices, and crops the centre. ``letterbox`` fits the whole image in and pads with grey.
    """

    policy: Policy = "stretch"
    shorter_side: int | None = None

    @classmethod
    def parse(cls, text: str) -> Resize:
        """``stretch``, ``crop``, ``crop:256`` or ``letterbox``. Raises :class:`~gdws.errors.DataError`."""
        name, _, side = text.partition(":")
        known = f"choose {', '.join(get_args(Policy))}, or crop:256 for a shorter side of 256 pixels"
        if name not in get_args(Policy) or (side and (name != "crop" or not side.isdecimal())):
            raise DataError(f"{text!r} is not a valid resize policy", hint=known)
        policy: Policy = name  # type: ignore[assignment]
        return cls(policy, int(side) if side else None)

    def __str__(self) -> str:
        return self.policy if self.shorter_side is None else f"{self.policy}:{self.shorter_side}"

    def apply(self, image: Image.Image, height: int, width: int) -> Image.Image:
        """``image`` at this size; not resampled if it already has it, unless ``shorter_side`` is given."""
        place = self.place((image.height, image.width), (height, width))
        inner = image if image.size == (place.width, place.height) else _resized(image, place.height, place.width)
        if self.policy == "letterbox":
            return _padded(inner, place, height, width)
        if inner.size == (width, height):
            return inner
        return inner.crop((-place.left, -place.top, width - place.left, height - place.top))

    def place(self, size: tuple[int, int], wanted: tuple[int, int]) -> Place:
        """Where an image of ``size`` (H, W) lies in the frame of the size that is ``wanted``."""
        (old_height, old_width), (height, width) = size, wanted
        if self.policy == "stretch" or (size == wanted and self.shorter_side is None):
            return Place(height, width, 0, 0)
        if self.policy == "letterbox":
            scale = min(height / old_height, width / old_width)
            inner = (max(1, round(scale * old_height)), max(1, round(scale * old_width)))
            return Place(*inner, (height - inner[0]) // 2, (width - inner[1]) // 2)
        if self.shorter_side is None:
            scale = max(height / old_height, width / old_width)
            taller, wider = max(height, round(scale * old_height)), max(width, round(scale * old_width))
        else:  # as torchvision's Resize and CenterCrop
            shorter = min(old_height, old_width)
            taller, wider = (self.shorter_side * side // shorter for side in (old_height, old_width))
        return Place(taller, wider, -round((taller - height) / 2), -round((wider - width) / 2))


@dataclass(frozen=True)
class Preparation:
    """Images to ``shape`` (C, H, W), as a network takes them.

    Colour is converted to grey by its luma and grey to colour, as C requires; transparency is dropped, and the EXIF
    orientation is applied. Pixels of 8 and 16 bits become float32 in [0, 1].
    """

    shape: tuple[int, int, int]
    resize: Resize = Resize()

    def __post_init__(self) -> None:
        least, given = max(self.shape[1:]), self.resize.shorter_side
        if given is not None and given < least:
            raise DataError(
                f"a shorter side of {given} pixels is smaller than the network's input of {least}",
                hint=f"use crop:{least} or more",
            )

    def __str__(self) -> str:
        channels, height, width = self.shape
        kind = {1: "grey", 3: "RGB"}.get(channels, f"{channels} channels")
        return f"{height} x {width} pixels, {kind}, from 0 to 1; resized by {self.resize}"

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"shape": list(self.shape), "resize": str(self.resize), "range": [0, 1]}

    def of_file(self, path: str | Path) -> Tensor:
        """The image (C, H, W) in a file. Raises :class:`~gdws.errors.DataError` that names the file."""
        try:
            with Image.open(path) as image:
                pixels = _decoded(image, self.shape[0])
        except Exception as error:  # damaged images fail in many ways
            raise DataError(
                f"{path} cannot be read: {first_line(error)}",
                hint="restore the file, or skip such files with --unreadable skip",
            ) from error
        return self.of_pixels(pixels)

    def of_pixels(self, pixels: Pixels) -> Tensor:
        """The image (C, H, W) of pixels (H, W, channels), uint8 or float32 in [0, 1].

        Raises :class:`~gdws.errors.DataError` for channels that cannot become C.
        """
        channels, height, width = self.shape
        pixels = _with_channels(pixels, channels)
        if pixels.dtype == np.uint8 and channels in (1, 3):
            image = Image.fromarray(pixels if channels == 3 else pixels[:, :, 0])
            found = np.asarray(self.resize.apply(image, height, width)).reshape(height, width, channels)
            return torch.from_numpy(found.transpose(2, 0, 1).copy()).float().div_(255)
        floats = pixels.astype(np.float32) / (255 if pixels.dtype == np.uint8 else 1)
        planes = [self.resize.apply(Image.fromarray(plane), height, width) for plane in np.moveaxis(floats, 2, 0)]
        return torch.from_numpy(np.stack([np.asarray(plane, dtype=np.float32) for plane in planes])).clamp_(0, 1)


def _decoded(image: Image.Image, channels: int) -> Pixels:
    """The pixels of a file: 8 bits in one channel or three, or float32 of 16 bits."""
    sixteen_bits = image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG")
    if image.mode in ("I", "F") and not sixteen_bits:
        raise ValueError(f"its pixels are {'floats' if image.mode == 'F' else 'of 32 bits'}, whose range is not known")
    upright = ImageOps.exif_transpose(image)
    if sixteen_bits:
        return np.asarray(upright)[:, :, None].astype(np.float32) / 65_535
    found = np.asarray(upright.convert("L" if channels == 1 else "RGB"))
    return found if found.ndim == 3 else found[:, :, None]


def _with_channels(pixels: Pixels, channels: int) -> Pixels:
    given = pixels.shape[2]
    if given == channels:
        return pixels
    if channels == 3 and given in (1, 4):
        return np.ascontiguousarray(pixels.repeat(3, axis=2) if given == 1 else pixels[:, :, :3])
    if channels == 1 and given in (3, 4):
        grey = pixels[:, :, :3] @ _LUMA
        return grey[:, :, None].round().astype(np.uint8) if pixels.dtype == np.uint8 else grey[:, :, None]
    raise DataError(
        f"images with {given} channels cannot be converted to the {channels} that the network takes",
        hint="provide arrays with as many channels, as .npy",
    )


def _resized(image: Image.Image, height: int, width: int) -> Image.Image:
    return image.resize((width, height), Image.Resampling.BILINEAR)


def _padded(image: Image.Image, place: Place, height: int, width: int) -> Image.Image:
    grey: Any = PADDING if image.mode == "F" else round(255 * PADDING)
    whole = Image.new(image.mode, (width, height), grey if image.mode != "RGB" else (grey,) * 3)
    whole.paste(image, (place.left, place.top))
    return whole
