"""Images of one source before they are divided into splits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from gdws.datasets.annotations.truth import Truth
from gdws.errors import DataError

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Pool:
    """``count`` images: ``read`` gives the one (C, H, W) at a place, ``contents`` what tells it from other images.

    ``labels`` (N,) are None where there are none, and so is ``truth``, which tells what else is known of an image.
    """

    count: int
    read: Callable[[int], Tensor]
    contents: Callable[[int], bytes]
    labels: Labels | None
    truth: Callable[[int], Truth] | None = None


def numbered(names: Sequence[str], order: Sequence[str]) -> Labels:
    """The places (N,) of class ``names`` in ``order``. Raises :class:`DataError` for a name that is not in it."""
    place = {name: index for index, name in enumerate(order)}
    absent = sorted(set(names) - place.keys())
    if absent:
        raise DataError(
            f"the class {absent[0]!r} is not among the {len(order)} names in the file of --labels",
            hint="write the names of all classes into it, one a line, in the order of the network's outputs",
        )
    return np.array([place[name] for name in names], dtype=np.int64)
