"""Solvers for the ranks of a network's layers, one for each kind of budget."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import singledispatch

import numpy.typing as npt

from gdws.algorithms import allocate
from gdws.algorithms.cost import weighted_error
from gdws.algorithms.mac_budget import Candidate, fewest_macs, nested_ranks, ranks_within
from gdws.algorithms.spectrum import Ints, Spectrum
from gdws.compression.surgery import Layer
from gdws.errors import PlanError
from gdws.planning.budget import Beta, Budget, EqualRank, Gamma, MacSaving, MeanRank, TotalError
from gdws_contract.costs import dense_weights

#: From ranks (C,) that weights may take, by name, to the errors of each.
ErrorsOf = Callable[[Mapping[str, Sequence[Ints]]], Mapping[str, Sequence[float]]]
#: The ranks (C,) of each weight by the name of the layer that holds it; None where it is better left dense.
Ranks = Mapping[str, Ints | None]


@dataclass(frozen=True, eq=False)
class RankProblem:
    """A network whose ranks are to be chosen, ``equal`` in all channels of a layer or not.

    ``layers`` are all layers of the network, ``spectra`` and ``alphas`` (C,) those of the eligible ones by name.
    ``errors_of`` says what ranks cost where layers compete for a resource; by default e^2 of Equation 5.
    """

    layers: Sequence[Layer]
    spectra: Mapping[str, Spectrum]
    alphas: Mapping[str, npt.ArrayLike | None]
    equal: bool
    errors_of: ErrorsOf | None = None

    @property
    def holders(self) -> list[str]:
        """The eligible layers that own a weight; others share one of theirs."""
        return [layer.name for layer in self.layers if layer.eligible and layer.shares is None]

    def errors(self, offered: Mapping[str, Sequence[Ints]]) -> Mapping[str, Sequence[float]]:
        """The error of each of the ``offered`` ranks, in a unit that adds up over layers."""
        if self.errors_of is not None:
            return self.errors_of(offered)
        return {
            name: [weighted_error(self.spectra[name], each, self.alphas[name]) for each in ranks]
            for name, ranks in offered.items()
        }

    def check(self) -> None:
        """Reject invalid alphas, even if ranks do not depend on them."""
        for name in self.holders:
            with _naming(name):
                self.spectra[name].weighted(self.alphas[name])


def choose_ranks(problem: RankProblem, budget: Budget) -> dict[str, Ints | None]:
    """The ranks of each eligible layer by name, None for one that is better left dense.

    Layers that share a weight share their ranks. Raises :class:`~gdws.errors.PlanError` if the budget cannot be met.
    """
    problem.check()
    found = solve(budget, problem)
    return {layer.name: found.get(layer.shares or layer.name) for layer in problem.layers if layer.eligible}


@singledispatch
def solve(budget: Budget, problem: RankProblem) -> Ranks:
    """The ranks of each weight within ``budget``. Raises :class:`~gdws.errors.PlanError` if it cannot be met."""
    raise TypeError(f"no solver is registered for {type(budget).__name__}")


@solve.register
def _(budget: MeanRank, problem: RankProblem) -> Ranks:
    found: dict[str, Ints | None] = {}
    for name in problem.holders:
        channels = len(problem.spectra[name].squares)
        components = allocate.components_for_mean_rank(budget.value, channels, equal=problem.equal)
        found[name] = _least_error(problem, name, components)
    return found


@solve.register
def _(budget: Gamma, problem: RankProblem) -> Ranks:
    return {name: _least_error(problem, name, budget.value) for name in problem.holders}


@solve.register
def _(budget: Beta, problem: RankProblem) -> Ranks:
    lego = allocate.equal_lego if problem.equal else allocate.lego
    return {name: lego(problem.spectra[name], budget.value, problem.alphas[name]) for name in problem.holders}


@solve.register
def _(budget: EqualRank, problem: RankProblem) -> Ranks:
    return {name: allocate.equal_rank(problem.spectra[name], int(budget.value)) for name in problem.holders}


@solve.register
def _(budget: TotalError, problem: RankProblem) -> Ranks:
    lego = allocate.equal_network_lego if problem.equal else allocate.network_lego
    names = problem.holders
    spectra, alphas = [problem.spectra[name] for name in names], [problem.alphas[name] for name in names]
    return dict(zip(names, lego(spectra, budget.value, alphas), strict=True))


@solve.register
def _(budget: MacSaving, problem: RankProblem) -> Ranks:
    """Ranks whose MACs over all layers are at most the dense MACs divided by the saving."""
    positions = {layer.name: _positions(layer) for layer in problem.layers}
    dense = sum(positions[layer.name] * dense_weights(layer.weight_shape) for layer in problem.layers)
    uses = {
        name: sum(positions[each.name] for each in problem.layers if name in (each.name, each.shares))
        for name in problem.holders
    }
    names = [name for name in problem.holders if uses[name]]  # layers that never run save nothing
    shapes = {name: problem.spectra[name].weight.shape for name in names}
    ours = sum(uses[name] * dense_weights(shapes[name]) for name in names)
    offered = {name: nested_ranks(problem.spectra[name], problem.alphas[name], equal=problem.equal) for name in names}
    fewest = sum(fewest_macs(shapes[name], uses[name], offered[name]) for name in names)
    bound = dense / budget.value - (dense - ours)
    if fewest > bound:  # checked before the errors are computed, which takes minutes
        most = math.floor(100 * dense / (dense - ours + fewest)) / 100
        raise PlanError(
            f"mac_saving: the network cannot be reduced to {budget.value:g} times fewer MACs; {most:g} is the most",
            hint="use a smaller value, or allow more layers to be converted",
        )
    errors = problem.errors(offered)
    candidates = [Candidate(shapes[name], uses[name], offered[name], errors[name]) for name in names]
    return dict(zip(names, ranks_within(candidates, bound), strict=True))


def _least_error(problem: RankProblem, name: str, components: float) -> Ints:
    """The ranks of least error with at most this many components."""
    spectrum = problem.spectra[name]
    if problem.equal:
        return allocate.equal_mego(spectrum, components)
    return allocate.mego(spectrum, components, problem.alphas[name])


def _positions(layer: Layer) -> int:
    if layer.grids is None:
        raise PlanError("mac_saving: the MACs are unknown", hint="give an example input")
    return sum(height * width for height, width in layer.grids)


@contextmanager
def _naming(layer: str) -> Iterator[None]:
    """Add the name of the layer to errors of the algorithms."""
    try:
        yield
    except ValueError as error:
        raise PlanError(f"layer {layer!r}: {error}") from error
