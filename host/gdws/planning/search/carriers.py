"""Carriers: whole networks in which every layer runs each of its options once, so that few builds time them all."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np

from gdws.planning.search.space import Choice, Space

#: Designs that are drawn; the one that tells the options apart best is taken.
_DRAWS = 64


def carriers(space: Space, wanted: Sequence[Sequence[int]], *, count: int | None = None, seed: int = 0) -> list[Choice]:
    """Networks that cover the options of each layer whose indices are ``wanted``.

    The dense option need not be among them: the dense network is measured beside carriers anyway. Each layer goes
    through its options in an order of its own, so layers of equal geometry run different options in one carrier.
    ``count`` is the number of carriers; by default, and at least, what the layer with most options needs. A layer with
    fewer goes on with any of its options. Of several random designs the one of greatest information (D-optimality) is
    taken. Empty if nothing is wanted.
    """
    least = max(map(len, wanted), default=0)
    count = max(least, count or 0) if least else 0
    if count == 0:
        return []
    drawn = random.Random(seed)
    designs = [_draw(space, wanted, count, drawn) for _ in range(_DRAWS)]
    return max(designs, key=lambda design: _information(space, design))


def _draw(space: Space, wanted: Sequence[Sequence[int]], count: int, drawn: random.Random) -> list[Choice]:
    columns = []
    for layer, first in zip(space.layers, wanted, strict=True):
        column = drawn.sample(first, len(first))
        while len(column) < count:
            more = list(range(len(layer.options)))
            drawn.shuffle(more)
            column = column + more
        rows = column[:count]
        drawn.shuffle(rows)
        columns.append(rows)
    return list(zip(*columns, strict=True))


def _information(space: Space, design: list[Choice]) -> float:
    """The logarithm of the determinant of the design's information on options by geometry, each weighed by its MACs."""
    places: dict[tuple[str, str], int] = {}
    for layer in space.layers:
        for option in layer.options:
            places.setdefault((layer.geometry, option.name), len(places))
    counts = np.zeros((len(design), len(places)))
    for row, choice in enumerate(design):
        for layer, option in zip(space.layers, space.taken(choice), strict=True):
            counts[row, places[layer.geometry, option.name]] += option.macs**0.5
    counts -= counts.mean(axis=0)
    scale = np.mean(counts**2) or 1.0
    return float(np.linalg.slogdet(np.eye(len(design)) + counts @ counts.T / scale)[1])
