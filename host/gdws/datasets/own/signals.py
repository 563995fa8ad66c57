"""Signals in arrays, as a network takes them: their values are not touched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gdws.errors import DataError

Array = npt.NDArray[Any]

#: Signals that are looked at in one piece.
_PIECE = 256


@dataclass(frozen=True)
class Signals:
    """Signals of ``shape`` (C, L) or (L,), e.g. of audio or an ECG. They are neither cut nor scaled."""

    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"taken as they are, {' x '.join(map(str, self.shape))} values each"

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"shape": list(self.shape), "resize": None, "range": None}

    def reader(self, what: str, values: Array) -> Callable[[int], Tensor]:
        """What gives the signal at a place, float32 of the network's shape.

        ``values``, called ``what`` in errors, are (N, C, L), (N, L, C), or (N, L) of one channel. Raises
        :class:`DataError` for another shape or length, and for what are no finite numbers.
        """
        arranged = self._arranged(what, values)
        _require_finite(what, values)
        return lambda place: torch.from_numpy(np.array(arranged[place], dtype=np.float32, order="C"))

    def _arranged(self, what: str, values: Array) -> Array:
        given = values.shape[1:]
        if given == self.shape:
            return values
        if values.ndim == 3 and given[::-1] == self.shape:
            return np.moveaxis(values, 1, 2)
        if values.ndim > 1 and [size for size in given if size > 1] == [size for size in self.shape if size > 1]:
            return values.reshape(len(values), *self.shape)
        sizes = ", ".join(map(str, self.shape))
        raise DataError(
            f"{what} have the shape {values.shape}, and the network takes signals of ({sizes})",
            hint=f"give (N, {sizes}): signals are neither cut nor padded. --input-shape says another length, where the "
            "network takes any",
        )


def _require_finite(what: str, values: Array) -> None:
    """Look at the values piece by piece, which needs little memory."""
    if values.dtype.kind not in "iuf":
        raise DataError(f"{what} are {values.dtype}", hint="store integers or floats")
    if values.dtype.kind != "f":
        return
    for first in range(0, len(values), _PIECE):
        fine = np.isfinite(values[first : first + _PIECE]).reshape(-1, int(np.prod(values.shape[1:]))).all(axis=1)
        if not fine.all():
            raise DataError(
                f"{what} contain NaN or infinity, first in row {first + int(np.argmin(fine))}",
                hint="leave such signals out",
            )
