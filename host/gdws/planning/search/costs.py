"""What each option costs in a network: one figure for each, one for the rest, and terms of neighbouring layers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

from gdws.planning.search.space import Choice, Space


@dataclass(frozen=True, eq=False)
class Costs:
    """Latency in milliseconds, or energy in millijoules, of every choice: ``rest`` and a sum over the layers.

    ``layers`` has a figure for each option of each layer, ``pairs`` one for each pair of different kinds of options,
    which is added for each layer with one followed by a layer with the other.
    """

    space: Space
    rest: float
    layers: tuple[tuple[float, ...], ...]
    pairs: Mapping[tuple[str, str], float]

    def of(self, choice: Choice) -> float:
        """The cost of the whole network."""
        kinds = [option.kind for option in self.space.taken(choice)]
        return math.fsum(
            [
                self.rest,
                *(costs[index] for costs, index in zip(self.layers, choice, strict=True)),
                *(self.pairs.get(pair, 0.0) for pair in itertools.pairwise(kinds)),
            ]
        )
