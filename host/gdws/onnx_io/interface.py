"""The input of an ONNX file: shape, order of axes, element type, and the batch size if it is fixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto

from gdws.errors import ModelError
from gdws.onnx_io.batch_first import batch_axes
from gdws.onnx_io.layout import TO_FIRST, TO_LAST, channels_last, looks_channels_last

#: Of one sample: (C, H, W) of an image, (C, L) or (L,) of a signal.
Shape = tuple[int, ...]
Images = npt.NDArray[np.float32]

#: Signals without channels, signals, images.
_AXES = (2, 3, 4)
_NUMBERS: Mapping[str, Any] = {"float16": np.float16, "double": np.float64}


@dataclass(frozen=True)
class Interface:
    """The input of a file: its batch size if that is fixed, the shape of images, order of axes and element type.

    ``batch_axes`` says which axis of each output is the batch.
    """

    batch: int | None
    shape: Shape
    channels_last: bool
    number: str
    batch_axes: tuple[int, ...]

    def feed(self, images: Images) -> npt.NDArray[Any]:
        """Images (N, C, H, W) as the file takes them."""
        ordered = images.transpose(TO_LAST) if self.channels_last else images
        return np.ascontiguousarray(ordered, dtype=_NUMBERS.get(self.number, np.float32))


def number_of(model: onnx.ModelProto) -> str:
    """The element type of the input in ONNX's terms, e.g. ``float16``."""
    return str(TensorProto.DataType.Name(model.graph.input[0].type.tensor_type.elem_type).lower())


def interface_of(model: onnx.ModelProto, path: Path, wanted: Shape | None, number: str) -> Interface:
    """How the file takes images, with ``wanted`` (C, H, W) where it leaves that open."""
    value = model.graph.input[0]
    axes = [axis.dim_value or None for axis in value.type.tensor_type.shape.dim]
    if value.type.tensor_type.elem_type != TensorProto.FLOAT or len(axes) not in _AXES:
        raise ModelError(
            f"the input {value.name!r} of {path} is {number} with {len(axes)} axes",
            hint="it must be images (N, C, H, W) or signals (N, C, L) in float; export the network so",
        )
    if wanted is not None and len(wanted) != len(axes) - 1:
        raise ModelError(
            f"{path} takes samples of {_shown(axes[1:])}, not {_shown(wanted)}",
            hint="--input-shape says the axes of one sample without the batch, e.g. 3,224,224 for C,H,W",
        )
    last = _has_channels_last(model, path, axes, wanted)
    axes = [axes[axis] for axis in TO_FIRST] if last else axes
    for axis, given in zip(axes[1:], wanted or (), strict=False):
        if axis is not None and axis != given:
            sizes = "C,L" if len(axes) == 3 else "C,H,W"
            raise ModelError(
                f"{path} takes {'signals' if len(axes) == 3 else 'images'} of {_shown(axes[1:])}, not "
                f"{_shown(wanted or ())}",
                hint=f"--input-shape says {sizes}; it may be left out where the file leaves nothing open",
            )
    shape: tuple[int | None, ...] = wanted or tuple(axes[1:])
    if None in shape:
        raise ModelError(
            f"{path} does not define the size of its images", hint="give it, e.g. --input-shape 3,224,224 for C,H,W"
        )
    known = tuple(axis for axis in shape if axis is not None)
    taken = tuple(known[axis - 1] for axis in TO_LAST[1:]) if last else known
    return Interface(axes[0], known, last, number, batch_axes(model, taken))


def _has_channels_last(model: onnx.ModelProto, path: Path, axes: Sequence[int | None], wanted: Shape | None) -> bool:
    """Whether images are (N, H, W, C): the graph tells, or the shape that is wanted, or nothing does."""
    if len(axes) != 4:
        return False
    told = channels_last(model)
    if told is not None:
        return told
    if wanted is not None:
        fits = [all(axis in (None, size) for axis, size in zip(order, wanted, strict=True)) for order in _orders(axes)]
        return fits == [False, True]
    if looks_channels_last(axes[1:]):
        first, last = (",".join(map(str, order)) for order in _orders(axes))
        raise ModelError(
            f"{path} takes images of {_shown(axes[1:])}, and does not say whether the channels are the first or the "
            "last of these axes",
            hint=f"give it as C,H,W: --input-shape {last} if they are last, --input-shape {first} if they are first",
        )
    return False


def _orders(axes: Sequence[int | None]) -> tuple[list[int | None], list[int | None]]:
    """(C, H, W) if the axes (N, ...) have the channels first, and if they have them last."""
    return list(axes[1:]), [axes[axis] for axis in TO_FIRST[1:]]


def _shown(axes: Sequence[int | None]) -> str:
    return "x".join("?" if axis is None else str(axis) for axis in axes)
