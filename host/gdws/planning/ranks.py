"""Which ranks the layers of a network get under a constraint."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy.typing as npt

from gdws.algorithms import allocate
from gdws.algorithms.cost import weighted_error
from gdws.algorithms.mac_budget import Candidate, nested_ranks, ranks_within
from gdws.algorithms.spectrum import Ints, Spectrum
from gdws.compression.surgery import Layer
from gdws.errors import PlanError
from gdws_contract.costs import dense_weights
from gdws_contract.plan import Constraint

#: From ranks (C,) that weights may take, by name, to the errors of each.
ErrorsOf = Callable[[Mapping[str, Sequence[Ints]]], Mapping[str, Sequence[float]]]


def choose_ranks(
    layers: Sequence[Layer],
    spectra: Mapping[str, Spectrum],
    constraint: Constraint,
    bound: float,
    weights: Mapping[str, npt.ArrayLike | None],
    errors_of: ErrorsOf | None = None,
    *,
    equal: bool,
) -> dict[str, Ints | None]:
    """The ranks of each eligible layer by name, None for one that is better left dense.

    ``layers`` are all layers of the network, ``spectra`` and ``weights`` (alphas) those of the eligible ones by name.
    ``errors_of`` says what ranks cost where MACs are shared among layers; by default e^2 of Equation 5. Layers that
    share a weight share their ranks. Raises :class:`~gdws.errors.PlanError` if the constraint cannot be
    met or makes no sense.
    """
    holders = [layer.name for layer in layers if layer.eligible and layer.shares is None]
    found: dict[str, Ints | None] = {}
    if constraint == "budget":
        found.update(_within_budget(holders, spectra, bound, weights, equal=equal))
    elif constraint == "mac_saving":
        found.update(_at_saving(layers, holders, spectra, bound, weights, errors_of, equal=equal))
    else:
        for name in holders:
            with _naming(name):
                found[name] = _ranks_in_layer(spectra[name], constraint, bound, weights[name], equal=equal)
    return {layer.name: found.get(layer.shares or layer.name) for layer in layers if layer.eligible}


def _ranks_in_layer(
    spectrum: Spectrum, constraint: Constraint, bound: float, alphas: npt.ArrayLike | None, *, equal: bool
) -> Ints:
    spectrum.weighted(alphas)  # refuses weights that make no sense, also where ranks do not depend on them
    if constraint == "equal_rank":
        return allocate.equal_rank(spectrum, int(bound))
    if constraint == "beta":
        return (allocate.equal_lego if equal else allocate.lego)(spectrum, bound, alphas)
    if constraint == "mean_rank":
        bound = allocate.components_for_mean_rank(bound, len(spectrum.squares), equal=equal)
    return allocate.equal_mego(spectrum, bound) if equal else allocate.mego(spectrum, bound, alphas)


def _within_budget(
    names: Sequence[str],
    spectra: Mapping[str, Spectrum],
    bound: float,
    weights: Mapping[str, npt.ArrayLike | None],
    *,
    equal: bool,
) -> dict[str, Ints]:
    for name in names:
        with _naming(name):
            spectra[name].weighted(weights[name])
    share = allocate.equal_network_lego if equal else allocate.network_lego
    try:
        found = share([spectra[name] for name in names], bound, [weights[name] for name in names])
    except ValueError as error:
        raise PlanError(str(error)) from error
    return dict(zip(names, found, strict=True))


def _at_saving(
    layers: Sequence[Layer],
    names: Sequence[str],
    spectra: Mapping[str, Spectrum],
    saving: float,
    weights: Mapping[str, npt.ArrayLike | None],
    errors_of: ErrorsOf | None,
    *,
    equal: bool,
) -> dict[str, Ints | None]:
    """Ranks with which the MACs of all ``layers`` are at most what they are dense, over ``saving``."""
    if not (math.isfinite(saving) and saving >= 1):
        raise PlanError(f"mac_saving: expected a finite number of at least 1, got {saving}")
    positions = {layer.name: _positions(layer) for layer in layers}
    dense = sum(positions[layer.name] * dense_weights(layer.weight_shape) for layer in layers)
    uses = {name: sum(positions[each.name] for each in layers if name in (each.name, each.shares)) for name in names}
    names = [name for name in names if uses[name]]  # what never runs saves nothing
    ours = sum(uses[name] * dense_weights(spectra[name].weight.shape) for name in names)
    offered: dict[str, list[Ints]] = {}
    for name in names:
        with _naming(name):
            offered[name] = nested_ranks(spectra[name], weights[name], equal=equal)
    errors: Mapping[str, Sequence[float]]
    if errors_of is None:
        errors = {
            name: [weighted_error(spectra[name], ranks, weights[name]) for ranks in offered[name]] for name in names
        }
    else:
        errors = errors_of(offered)
    candidates = [Candidate(spectra[name].weight.shape, uses[name], offered[name], errors[name]) for name in names]
    try:
        found = ranks_within(candidates, dense / saving - (dense - ours))
    except ValueError as error:
        raise PlanError(
            f"mac_saving: the network cannot take {saving:g} times fewer MACs",
            hint="ask for less, or let more layers be converted",
        ) from error
    return dict(zip(names, found, strict=True))


def _positions(layer: Layer) -> int:
    if layer.grids is None:
        raise PlanError("mac_saving: the MACs are unknown", hint="give an example input")
    return sum(height * width for height, width in layer.grids)


@contextmanager
def _naming(layer: str) -> Iterator[None]:
    """Refusals of the algorithms, which know no names, with the name of the layer."""
    try:
        yield
    except ValueError as error:
        raise PlanError(f"layer {layer!r}: {error}") from error
