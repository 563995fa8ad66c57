"""The options of every layer, and a choice among them."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from gdws.errors import PlanError
from gdws_contract.plan import Layout

#: The index of the option that each layer takes, in the order of :attr:`Space.layers`.
Choice = tuple[int, ...]

DENSE = "dense"


@dataclass(frozen=True)
class LayerOption:
    """What a layer may become: a GDWS layer of these ``ranks`` (C,) and ``layout``, or dense if both are None.

    ``macs`` are those of one sample in all places where the weight is applied. ``error`` is the expected square of the
    first-order change of the decisions that the option brings, which adds up over layers.
    """

    name: str
    ranks: tuple[int, ...] | None
    layout: Layout | None
    macs: int
    error: float

    @property
    def kind(self) -> str:
        """The layout, or ``dense``: what decides whether a runtime converts data between neighbouring layers."""
        return self.layout or DENSE

    @property
    def mean_rank(self) -> float | None:
        """G/C; None for a dense layer."""
        return None if self.ranks is None else sum(self.ranks) / len(self.ranks)


@dataclass(frozen=True)
class LayerOptions:
    """One weight with its options, of which the first is to stay dense.

    ``users`` are the layers that hold the weight, the one that it is named for first. Layers of equal ``geometry``
    take equal times for options of equal names.
    """

    name: str
    users: tuple[str, ...]
    geometry: str
    options: tuple[LayerOption, ...]


@dataclass(frozen=True)
class Space:
    """The layers that may be converted, in the order in which they run."""

    layers: tuple[LayerOptions, ...]

    @property
    def dense(self) -> Choice:
        """Every layer stays as it is."""
        return (0,) * len(self.layers)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the layers with their options, for files that hold only as long as these are the same."""
        content = [
            [layer.name, layer.users, layer.geometry, [(o.name, o.ranks, o.error) for o in layer.options]]
            for layer in self.layers
        ]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def taken(self, choice: Choice) -> list[LayerOption]:
        """The option of each layer."""
        return [layer.options[index] for layer, index in zip(self.layers, choice, strict=True)]

    def names(self, choice: Choice) -> dict[str, str]:
        """The name of each layer's option, by the name of the layer."""
        return {layer.name: option.name for layer, option in zip(self.layers, self.taken(choice), strict=True)}

    def choice(self, names: Mapping[str, str]) -> Choice:
        """The choice of :meth:`names`; raises :class:`~gdws.errors.PlanError` for a name that is not offered."""
        found = []
        for layer in self.layers:
            offered = [option.name for option in layer.options]
            if names.get(layer.name) not in offered:
                raise PlanError(f"layer {layer.name!r} has no option {names.get(layer.name)!r}")
            found.append(offered.index(names[layer.name]))
        return tuple(found)

    def error(self, choice: Choice) -> float:
        """The sum of the errors of the options."""
        return math.fsum(option.error for option in self.taken(choice))

    def macs(self, choice: Choice) -> int:
        """The MACs of one sample in the layers of the space."""
        return sum(option.macs for option in self.taken(choice))


def uniform(space: Space) -> list[Choice]:
    """Networks that run one layout at one mean rank throughout, or the nearest to it that a layer offers."""
    wanted = {(option.kind, option.mean_rank or 0.0) for layer in space.layers for option in layer.options[1:]}
    found = (tuple(_nearest(layer, kind, rank) for layer in space.layers) for kind, rank in sorted(wanted))
    return [choice for choice in dict.fromkeys(found) if choice != space.dense]


def _nearest(layer: LayerOptions, kind: str, rank: float) -> int:
    """The index of the option of a kind whose mean rank is nearest; 0, dense, if there is none of that kind."""
    of_kind = [index for index, option in enumerate(layer.options) if index and option.kind == kind]
    return min(of_kind, key=lambda index: abs((layer.options[index].mean_rank or 0.0) - rank), default=0)


def key_of(choice: Choice) -> str:
    """A short name of a choice, for files and networks."""
    return hashlib.sha256(json.dumps(choice).encode()).hexdigest()[:10]


def pareto(costs: Sequence[float], errors: Sequence[float]) -> list[int]:
    """The indices of options that no other one beats in both cost and error, cheapest first."""
    order = sorted(range(len(costs)), key=lambda index: (costs[index], errors[index]))
    kept: list[int] = []
    for index in order:
        if not kept or errors[index] < errors[kept[-1]]:
            kept.append(index)
    return kept
