"""Shapes as TensorRT gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING, List

if TYPE_CHECKING:
    from tensorrt import Dims


def axes(shape: Dims) -> List[int]:
    """Return the lengths of the axes; -1 where it is open. A shape of unknown rank has none."""
    try:
        return [int(shape[index]) for index in range(len(shape))]
    except ValueError:  # its length is -1
        return []
