"""Budgets of a conversion: a value of one kind, which determines the ranks of all layers.

To add a kind, add a class here and to :data:`KINDS`, and register its solver in :mod:`gdws.planning.ranks`. The keyword
of :func:`gdws.convert`, the option of the command line and the name in plans and bundles follow from the class.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from gdws.errors import PlanError
from gdws_contract.plan import Plan


@dataclass(frozen=True)
class Budget:
    """A bound of one kind, which is the class; ``value`` is finite and at least :attr:`least`.

    ``kind`` names it in plans and as a keyword of :func:`gdws.convert`. A network with ``summary`` is what it gives;
    ``metavar`` and ``number`` say how the value is written. Raises :class:`~gdws.errors.PlanError` for another value.
    """

    value: float

    kind: ClassVar[str]
    summary: ClassVar[str]
    metavar: ClassVar[str]
    number: ClassVar[type[int] | type[float]] = float
    least: ClassVar[int] = 0

    def __post_init__(self) -> None:
        value = float(self.value)
        if not (math.isfinite(value) and value >= self.least):
            raise PlanError(f"{self.kind}: expected a finite number of at least {self.least}, got {value:g}")
        object.__setattr__(self, "value", value)  # NumPy's numbers cannot be stored as JSON


class MeanRank(Budget):
    """G/C in each layer: G is the nearest integer to the value times C, distributed by MEGO (Theorem 1).

    Where a layout needs equal ranks, the rank is rounded, to at least 1 if the value is positive.
    """

    kind, metavar = "mean_rank", "G/C"
    summary = "this mean rank in each layer"


class Beta(Budget):
    """A bound on each layer's e^2, the squared weighted error of Equation 5: the fewest components (LEGO, Theorem 2).

    Where a layout needs equal ranks, the least rank that meets it.
    """

    kind, metavar = "beta", "E2"
    summary = "at most this error e^2 in each layer"


class Gamma(Budget):
    """A bound on each layer's G, the sum of its ranks: the least e^2 (MEGO, Theorem 1).

    Where a layout needs equal ranks, the greatest rank that meets it.
    """

    kind, metavar, number = "gamma", "G", int
    summary = "at most this sum of ranks in each layer"


class TotalError(Budget):
    """A bound on e^2 summed over all layers: the fewest components in the whole network.

    They are taken from the layers where they matter least. With alphas the sum bounds the probability that a decision
    changes, so that a value means the same in every network, which one of :class:`Beta` does not. Where a layout needs
    equal ranks the choice is greedy.
    """

    kind, metavar = "budget", "E2"
    summary = (
        "at most this error, e^2 summed over all layers: the fewest components in the whole network that meet it. "
        "With alphas the sum bounds the share of changed decisions"
    )


class MacSaving(Budget):
    """The minimum factor by which the MACs of the whole network are reduced, see :mod:`gdws.algorithms.mac_budget`."""

    kind, metavar, least = "mac_saving", "TIMES", 1
    summary = (
        "this many times fewer MACs: those left go to the layers where they remove most error, and a layer may stay "
        "dense"
    )


class EqualRank(Budget):
    """The rank of every channel in every layer (Network Decoupling, arXiv:1808.05517), in any layout."""

    kind, metavar, number = "equal_rank", "G", int
    summary = "this rank in every channel of every layer (Network Decoupling), a baseline"


#: Every kind of budget by its name.
KINDS: Mapping[str, type[Budget]] = {
    each.kind: each for each in (MeanRank, Beta, Gamma, TotalError, MacSaving, EqualRank)
}


def one_of(**given: Budget | Plan | float | None) -> Budget | Plan:
    """The plan or budget among ``given``: those of :func:`gdws.convert`, in which a number is of the kind of its name.

    Raises :class:`~gdws.errors.PlanError` unless one of them is not None, and :class:`TypeError` for an unknown name.
    """
    if unknown := given.keys() - {"plan", *KINDS}:
        raise TypeError(f"convert() got an unexpected keyword argument {min(unknown)!r}")
    named: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if len(named) != 1:
        known = ", ".join(["plan", *KINDS])
        raise PlanError(f"exactly one of {known} must be given, got {', '.join(named) or 'none'}")
    [(name, value)] = named.items()
    return value if isinstance(value, Budget | Plan) else KINDS[name](value)
