"""The best choice under limits: a multiple-choice knapsack, solved exactly by mixed-integer programming."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from gdws._util.streams import nothing_printed
from gdws.algorithms.share import Option, share
from gdws.algorithms.spectrum import Floats
from gdws.errors import GdwsError
from gdws.planning.search.costs import Costs
from gdws.planning.search.space import Choice, pareto

#: What is minimised first; the other breaks ties.
Objective = Literal["error", "cost"]

_TIE = 1e-6
#: Errors and costs are known far less exactly.
_GAP = 1e-4
_TIME_LIMIT_S = 30.0
_INFEASIBLE = 2


@dataclass(frozen=True)
class Limits:
    """What a choice must keep to.

    ``cost`` and ``error`` bound the sums, ``near`` with ``radius`` the number of layers that differ from a choice, and
    ``other_than`` excludes choices. ``also`` bounds the sum of other costs of the same space, e.g. times where what is
    minimised is energy.
    """

    cost: float | None = None
    error: float | None = None
    near: Choice | None = None
    radius: int | None = None
    other_than: Sequence[Choice] = field(default=())
    also: tuple[Costs, float] | None = None


def best_choice(costs: Costs, objective: Objective, limits: Limits = Limits()) -> Choice | None:
    """The choice of least error, or least cost, within ``limits``; None if there is none.

    Of two hundred layers the best that is found in half a minute counts. Raises :class:`~gdws.errors.GdwsError` if that
    is none.
    """
    if not costs.space.layers:
        return _alone(costs, limits)
    program = _Program(costs, limits)
    with nothing_printed():  # HiGHS prints some lines meant for its developers whatever it is told
        found = milp(
            program.objective(objective),
            constraints=program.constraints(),
            integrality=program.is_integer,
            bounds=Bounds(np.zeros(program.size), program.upper),
            options={"time_limit": _TIME_LIMIT_S, "mip_rel_gap": _GAP},
        )
    if found.x is None:
        if found.status == _INFEASIBLE:
            return None
        raise GdwsError(f"no plan was found in {_TIME_LIMIT_S:g} s: {found.message}", hint="leave layers out by --skip")
    return program.choice(found.x)


def greedy_choice(costs: Costs, cost: float) -> Choice | None:
    """The answer of :func:`gdws.algorithms.share.share`, which knows no pair terms: at best that of least error."""
    options = [
        [Option(price, option.error) for price, option in zip(prices, layer.options, strict=True)]
        for prices, layer in zip(costs.layers, costs.space.layers, strict=True)
    ]
    try:
        return tuple(share(options, cost - costs.rest))
    except ValueError:
        return None


def _alone(costs: Costs, limits: Limits) -> Choice | None:
    """The one choice of a network without options."""
    is_met = (limits.cost is None or costs.rest <= limits.cost) and () not in limits.other_than
    if limits.also is not None:
        is_met = is_met and limits.also[0].rest <= limits.also[1]
    return () if is_met else None


class _Program:
    """Variables: one for each option, 1 where it is taken; then for each pair of neighbours and kinds, where both are.

    Products of neighbours' variables are linear in the latter, whose sums over the kinds of one side are the other's.
    """

    def __init__(self, costs: Costs, limits: Limits) -> None:
        self._costs, self._limits = costs, limits
        layers = costs.space.layers
        priced = [costs] if limits.also is None else [costs, limits.also[0]]
        self._starts = np.concatenate([[0], np.cumsum([len(layer.options) for layer in layers])]).tolist()
        kinds = [list(dict.fromkeys(option.kind for option in layer.options)) for layer in layers]
        self._pairs = [
            (place, one, other)
            for place in range(len(layers) - 1)
            if any((one, other) in each.pairs for each in priced for one in kinds[place] for other in kinds[place + 1])
            for one in kinds[place]
            for other in kinds[place + 1]
        ]
        self.size = self._starts[-1] + len(self._pairs)
        self.is_integer = np.r_[np.ones(self._starts[-1]), np.zeros(len(self._pairs))]
        self._prices = self._row(costs)
        self._errors = np.r_[
            [option.error for layer in layers for option in layer.options], np.zeros(len(self._pairs))
        ].astype(float)
        self.upper = np.ones(self.size)
        self._close_beaten()

    def _row(self, costs: Costs) -> Floats:
        """What each variable adds to ``costs``."""
        row: Floats = np.r_[
            np.concatenate([np.asarray(prices, dtype=float) for prices in costs.layers]),
            [costs.pairs.get((one, other), 0.0) for _, one, other in self._pairs],
        ]
        return row

    def objective(self, wanted: Objective) -> Floats:
        """What is to be minimised."""
        first, second = (self._errors, self._prices) if wanted == "error" else (self._prices, self._errors)
        scales = [float(np.abs(each).max()) or 1.0 for each in (first, second)]
        combined: Floats = first / scales[0] + _TIE * second / scales[1]
        return combined

    def constraints(self) -> list[LinearConstraint]:
        """One option a layer, pairs as their neighbours, and the limits."""
        limits, rows, low, high = self._limits, [], [], []

        def add(places: Sequence[int], values: Sequence[float], least: float, most: float) -> None:
            rows.append((places, values))
            low.append(least)
            high.append(most)

        layers = range(len(self._costs.space.layers))
        for place in layers:
            options = list(range(self._starts[place], self._starts[place + 1]))
            add(options, [1.0] * len(options), 1.0, 1.0)
        for places, values in self._marginals():
            add(places, values, 0.0, 0.0)
        everything = list(range(self.size))
        if limits.cost is not None:
            add(everything, self._prices.tolist(), -np.inf, limits.cost - self._costs.rest)
        if limits.also is not None:
            costs, most = limits.also
            add(everything, self._row(costs).tolist(), -np.inf, most - costs.rest)
        if limits.error is not None:
            add(everything, self._errors.tolist(), -np.inf, limits.error)
        if limits.near is not None and limits.radius is not None:
            near = [self._starts[place] + limits.near[place] for place in layers]
            add(near, [1.0] * len(near), len(near) - limits.radius, np.inf)
        for choice in limits.other_than:
            taken = [self._starts[place] + choice[place] for place in layers]
            add(taken, [1.0] * len(taken), -np.inf, len(taken) - 1)
        row_of = np.repeat(np.arange(len(rows)), [len(places) for places, _ in rows])
        columns = np.concatenate([places for places, _ in rows])
        matrix = csr_array(
            (np.concatenate([values for _, values in rows]), (row_of, columns)), shape=(len(rows), self.size)
        )
        return [LinearConstraint(matrix, np.array(low), np.array(high))]

    def choice(self, solution: Floats) -> Choice:
        """The option of each layer in a solution."""
        return tuple(
            int(np.argmax(solution[start:end])) for start, end in zip(self._starts, self._starts[1:], strict=False)
        )

    def _close_beaten(self) -> None:
        """Leave out options that another one of the same kind beats: no best choice needs them.

        Not where choices are excluded or a neighbourhood is asked for, which an option that is beaten may lie in, nor
        where other costs count, by which it may be the better one.
        """
        if self._limits.other_than or self._limits.near is not None or self._limits.also is not None:
            return
        for place, layer in enumerate(self._costs.space.layers):
            start = self._starts[place]
            for kind in {option.kind for option in layer.options}:
                mine = [start + index for index, option in enumerate(layer.options) if option.kind == kind]
                kept = pareto([self._prices[index] for index in mine], [self._errors[index] for index in mine])
                for index, variable in enumerate(mine):
                    if index not in kept:
                        self.upper[variable] = 0.0

    def _marginals(self) -> list[tuple[list[int], list[float]]]:
        """For each layer of a pair and each kind: the pair's variables of that kind, less the options of it, are 0."""
        found: dict[tuple[int, int, str], list[int]] = {}
        for index, (place, one, other) in enumerate(self._pairs):
            found.setdefault((place, place, one), []).append(self._starts[-1] + index)
            found.setdefault((place, place + 1, other), []).append(self._starts[-1] + index)
        rows = []
        for (_, layer, kind), pairs in found.items():
            options = [
                self._starts[layer] + index
                for index, option in enumerate(self._costs.space.layers[layer].options)
                if option.kind == kind
            ]
            rows.append((pairs + options, [1.0] * len(pairs) + [-1.0] * len(options)))
        return rows
