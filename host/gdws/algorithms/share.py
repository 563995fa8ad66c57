"""Allocation of one budget to all layers: which option each of them takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Option(NamedTuple):
    """An option of a layer: its ``cost``, e.g. in MACs, and its ``error``, in any additive unit."""

    cost: float
    error: float


def share(layers: Sequence[Sequence[Option]], budget: float) -> list[int]:
    """Return for each layer which of its options it takes: little error in sum, cost in sum at most ``budget``.

    Starts from the cheapest options. The step that takes away most error for what it costs is taken first, from any
    layer, as long as one fits: steps of several options at once are steps too, so only options on the lower convex hull
    count until one of these no longer fits. Up to there no choice of the same cost has less error (the argument for
    the fractional multiple-choice knapsack); what remains of the budget is filled in the same order.

    Raises ``ValueError`` if a layer has no option or the cheapest ones cost more than ``budget``.
    """
    if not all(layers):
        raise ValueError("a layer has no option")
    chosen = [_cheapest(options) for options in layers]
    spent = sum(options[index].cost for options, index in zip(layers, chosen, strict=True))
    if spent > budget:
        raise ValueError(f"the cheapest options cost {spent:g}, more than the budget {budget:g}")
    while True:
        steps = [
            (_gain(options[chosen[layer]], option), -layer, -index)
            for layer, options in enumerate(layers)
            for index, option in enumerate(options)
            if option.error < options[chosen[layer]].error
            and spent - options[chosen[layer]].cost + option.cost <= budget
        ]
        if not steps:
            return chosen
        _, layer, index = max(steps)
        options = layers[-layer]
        spent += options[-index].cost - options[chosen[-layer]].cost
        chosen[-layer] = -index


def _cheapest(options: Sequence[Option]) -> int:
    return min(range(len(options)), key=lambda index: (*options[index], index))


def _gain(old: Option, new: Option) -> float:
    """The reduction of the error per added cost; free options come first."""
    added = new.cost - old.cost
    return (old.error - new.error) / added if added > 0 else float("inf")
