"""Images as an array of rows, which may be in memory or in files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from gdws._util import memory
from gdws._util.threads import map_in_threads
from gdws.errors import DataError

#: Which images: a slice, or their indices (n,) int64.
Rows = slice | Tensor


class Images(Protocol):
    """Images (N, C, H, W) float32 in [0, 1] by rows. A tensor is one, :class:`LazyImages` another."""

    @property
    def shape(self) -> torch.Size:
        """(N, C, H, W)."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Rows, /) -> Tensor:
        """The images at ``rows`` (n, C, H, W), in memory."""


class LazyImages:
    """Images that are read on demand, in threads, without caching.

    ``read`` returns the image (C, H, W) float32 at one of ``places`` in a source; row i is the image at ``places[i]``.
    """

    def __init__(self, read: Callable[[int], Tensor], places: Sequence[int], shape: Sequence[int]) -> None:
        self._read, self._places = read, places
        self.shape = torch.Size((len(places), *shape))

    def __len__(self) -> int:
        return len(self._places)

    def __repr__(self) -> str:
        return f"LazyImages({' x '.join(map(str, self.shape))})"

    def first(self, count: int) -> LazyImages:
        """The first ``count`` images, none of which is read."""
        return LazyImages(self._read, self._places[:count], self.shape[1:])

    def __getitem__(self, rows: Rows, /) -> Tensor:
        """Raises :class:`DataError` if they would take more than half of the memory, and what reading them raises."""
        indices = range(len(self))[rows] if isinstance(rows, slice) else rows.tolist()
        _require_memory(len(indices), self.shape[1:])
        images = torch.empty(len(indices), *self.shape[1:])

        def fill(row: int) -> None:
            images[row] = self._read(self._places[indices[row]])

        map_in_threads(fill, range(len(indices)))
        return images


def first_of(images: Images, count: int) -> Images:
    """The first ``count`` images; files are not read."""
    return images.first(count) if isinstance(images, LazyImages) else images[:count]


def _require_memory(count: int, shape: Sequence[int]) -> None:
    bytes_each, limit = 4 * torch.Size(shape).numel(), memory.total_bytes() // 2
    if count * bytes_each > limit:
        raise DataError(
            f"{count:,} images take {count * bytes_each / 2**30:.1f} GiB, more than half of the memory",
            hint=f"use at most {limit // bytes_each:,}",
        )
