"""What detection heads write, as boxes and scores.

Of N images, A candidates and K classes:

``yolov8``        (N, 4 + K, A): centre and size in pixels, class scores. Also v9 and v11.
``yolov5``        (N, A, 5 + K): centre and size in pixels, objectness, class scores. Also v6 and v7.
``yolox``         as ``yolov5``, but the centre in cells of the grid and the size as logarithm of cells.
``boxes-scores``  two outputs: corners (N, A, 4) in pixels, and class scores (N, A, K).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gdws._util.outputs import described, tensors_in
from gdws.errors import ModelError
from gdws_contract.task import DetectionLayout

#: Of the three grids of a YOLO head, in pixels.
STRIDES = (8, 16, 32)


class Candidates(NamedTuple):
    """``boxes`` (N, A, 4) as x1, y1, x2, y2 in pixels, ``scores`` (N, A, K) from 0 to 1."""

    boxes: Tensor
    scores: Tensor


def decode(output: Any, layout: DetectionLayout, size: tuple[int, int]) -> Candidates:
    """The candidates in ``output`` for images of ``size`` (H, W); gradients can follow.

    Raises :class:`~gdws.errors.ModelError` if the output is not of the ``layout``.
    """
    tensors = tensors_in(output)
    try:
        return _DECODERS[layout](tensors, size)
    except (ValueError, IndexError, RuntimeError) as error:
        raise ModelError(
            f"the network returns {described(output)}, which is not a detection head of layout {layout}",
            hint="say what the outputs are, e.g. --task outputs",
        ) from error


def layout_of(output: Any, size: tuple[int, int]) -> DetectionLayout | None:
    """The layout of a detection head for images of ``size`` (H, W), told from what it gave; None if it is no such head.

    Only an output whose candidates are as many as the cells of the three grids counts: nothing else has that shape by
    chance. ``boxes-scores`` is never told, for any two outputs may look like that.
    """
    tensors = tensors_in(output)
    cells = sum(height * width for height, width in _grids(size))
    for tensor in tensors[:1]:
        if tensor.ndim != 3 or not tensor.is_floating_point():
            return None
        rows, columns = tensor.shape[1:]
        if columns == cells and 4 < rows < columns:
            return "yolov8"
        if columns > 5 and rows in (cells, 3 * cells):
            # Sizes as logarithms are small and may be negative; in pixels they are not.
            raw = rows == cells and bool((tensor[..., 2:4] <= 0).any())
            return "yolox" if raw else "yolov5"
    return None


def _yolov8(tensors: list[Tensor], size: tuple[int, int]) -> Candidates:
    rows = tensors[0].transpose(1, 2)
    return Candidates(_corners(rows[..., :4]), rows[..., 4:])


def _yolov5(tensors: list[Tensor], size: tuple[int, int]) -> Candidates:
    rows = tensors[0]
    return Candidates(_corners(rows[..., :4]), rows[..., 4:5] * rows[..., 5:])


def _yolox(tensors: list[Tensor], size: tuple[int, int]) -> Candidates:
    rows = tensors[0]
    cells = [
        torch.stack((x.flatten(), y.flatten(), torch.full_like(x.flatten(), stride)), dim=1)
        for stride, (height, width) in zip(STRIDES, _grids(size), strict=True)
        for y, x in [torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")]
    ]
    x, y, stride = torch.cat(cells).to(rows).unbind(1)
    centre = (rows[..., :2] + torch.stack((x, y), dim=1)) * stride[:, None]
    extent = rows[..., 2:4].exp() * stride[:, None]
    return Candidates(_corners(torch.cat((centre, extent), dim=2)), rows[..., 4:5] * rows[..., 5:])


def _boxes_scores(tensors: list[Tensor], size: tuple[int, int]) -> Candidates:
    boxes, scores = tensors
    if boxes.ndim != 3 or scores.ndim != 3 or boxes.shape[2] != 4 or boxes.shape[:2] != scores.shape[:2]:
        raise ValueError("no boxes and scores of the same candidates")
    return Candidates(boxes, scores)


def _corners(boxes: Tensor) -> Tensor:
    """Centre and size (N, A, 4) -> corners (N, A, 4)."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat((centre - half, centre + half), dim=2)


def _grids(size: tuple[int, int]) -> list[tuple[int, int]]:
    """Height and width of each grid, in cells."""
    return [(-(-size[0] // stride), -(-size[1] // stride)) for stride in STRIDES]


_DECODERS: Mapping[DetectionLayout, Callable[[list[Tensor], tuple[int, int]], Candidates]] = {
    "yolov8": _yolov8,
    "yolov5": _yolov5,
    "yolox": _yolox,
    "boxes-scores": _boxes_scores,
}
