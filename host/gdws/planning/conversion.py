"""Converts a network into a GDWS network and its plan, given a budget."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy.typing as npt
from torch import Tensor, nn

from gdws._util.progress import SILENT, Progress
from gdws._util.threads import map_in_threads
from gdws.algorithms.cost import weighted_error
from gdws.algorithms.spectrum import Factors, Ints, Spectrum
from gdws.compression import eligibility, full_rank, surgery
from gdws.compression import fitting as data_aware
from gdws.compression.fitting import Calibration, Observation
from gdws.compression.plain import plain
from gdws.compression.surgery import Layer
from gdws.errors import DataError, PlanError
from gdws.planning.budget import Budget, one_of
from gdws.planning.ranks import RankProblem, choose_ranks
from gdws_contract.plan import LAYOUTS, CalibrationSet, LayerPlan, Layout, Plan


def convert(
    model: nn.Module,
    budget: Budget | float | None = None,
    *,
    plan: Plan | None = None,
    alphas: Mapping[str, npt.ArrayLike] | None = None,
    data: Tensor | Calibration | None = None,
    layout: Layout = "gather",
    skip: str | Iterable[str] = (),
    convert_first: bool = False,
    example_input: Tensor | Sequence[int] | None = None,
    progress: Progress = SILENT,
    **bound: float | None,
) -> tuple[nn.Module, Plan]:
    """Return a GDWS copy of ``model`` and the plan it follows (Algorithm 3 of the paper, or data-aware).

    Give a ``budget``, or a bound by the name of its kind, or a ``plan``::

        convert(model, MeanRank(3))      # gdws.budgets has all kinds
        convert(model, mean_rank=3)      # the same
        convert(model, plan=plan)

    A network without an eligible layer is copied as it is, and the plan tells why.

    Args:
        model: the network; it is not changed.
        budget: what may be spent, see :mod:`gdws.planning.budget`. A number is that of
            :class:`~gdws.planning.budget.TotalError`.
        plan: a plan to follow. It has the ranks and layouts, so only ``data`` may be given with it.
        alphas: weights of the input channels (C,) by layer name, as :func:`gdws.compression.calibration.alphas.alphas`
            returns them. Without them every channel weighs 1. Layers that share a weight use those of the first.
        data: calibration images (N, C, H, W), as the network takes them. With them the conversion is data-aware:
            ranks and factors are the best for what the layers compute on these images, see
            :mod:`gdws.compression.fitting`, and errors weigh as much as they move the decisions of a classifier, or
            the outputs of any other network, so no alphas are needed. Adversarial images keep the accuracy of a robust
            network on such images. Several conversions of one network are given a
            :class:`gdws.compression.fitting.Calibration` in place of the images, and share what it finds.
        layout: how the layers run, see :class:`gdws.compression.layers.GDWSConv2d`. ``stacked`` and ``grouped`` need
            equal ranks in every channel of a layer.
        skip: names or shell patterns of layers to leave alone, see :func:`gdws.compression.surgery.inspect`.
        convert_first: whether the first convolution is converted too.
        example_input: a batch (N, C, H, W) or the shape (C, H, W) of one sample, to count MACs, without which the
            plan's MACs are None, and to try each layer in the network: one that its code does not let be replaced is
            left alone, see :func:`gdws.compression.full_rank.differing`. With ``data`` it is the first image.
            A budget of MACs needs one of the two.
        progress: shown while layers are fitted to ``data``.
        bound: e.g. ``mean_rank=3``, in place of ``budget``.

    Raises :class:`~gdws.errors.PlanError` if the arguments or the plan do not fit,
    :class:`~gdws.errors.NonFiniteWeights` if a weight contains NaN or infinity,
    :class:`~gdws.errors.ModelError` if the network cannot be handled, and
    :class:`~gdws.errors.DataError` if ``data`` are no images, too few for the ranks, or of another network.
    """
    chosen = one_of(plan=plan, budget=budget, **bound)
    eligibility.require_weights(model)
    calibration = Calibration(model, data) if isinstance(data, Tensor) else data
    if calibration is not None and calibration.given is not model:
        raise DataError(
            "the calibration belongs to another network", hint="create one for this network, or pass the images"
        )
    model = plain(model) if calibration is None else calibration.model
    if isinstance(chosen, Plan):
        if alphas is not None or skip or convert_first or layout != "gather" or example_input is not None:
            raise PlanError("a plan already defines layouts and layers", hint="pass only the plan, or make a new one")
        return _follow(model, chosen, calibration, progress), chosen
    if layout not in LAYOUTS:
        raise PlanError(f"unknown layout {layout!r}", hint=f"layouts are: {', '.join(LAYOUTS)}")
    if calibration is not None and alphas is not None:
        raise PlanError(
            "data-aware conversion computes the weights of errors itself", hint="give data or alphas, not both"
        )
    if calibration is not None and example_input is None:
        example_input = calibration.images[:1]
    layers = replaceable(
        model, surgery.inspect(model, example_input, skip=skip, convert_first=convert_first), example_input
    )
    seen = {} if calibration is None else calibration.observe([layer for layer in layers if layer.eligible])
    problem = _problem(layers, alphas, seen, calibration, equal=layout != "gather", progress=progress)
    made = Plan(
        layers=_layer_plans(problem, choose_ranks(problem, chosen), layout, seen),
        constraint=chosen.kind,
        budget=chosen.value,
        weighted=alphas is not None,
        input_shape=_sample_shape(example_input),
        other_parameters=sum(p.numel() for p in model.parameters()) - sum(layer.parameters for layer in layers),
        calibration=None if calibration is None else calibration.identity,
    )
    if calibration is not None:
        return _fit(made, calibration, progress), made
    return surgery.apply(made, model, factors=_factors(made, problem.spectra)), made


def _follow(model: nn.Module, plan: Plan, calibration: Calibration | None, progress: Progress) -> nn.Module:
    """The network of a stored plan."""
    _check_calibration(plan, None if calibration is None else calibration.identity)
    _check_plan(model, plan)
    return surgery.apply(plan, model) if calibration is None else _fit(plan, calibration, progress)


def _problem(
    layers: Sequence[Layer],
    alphas: Mapping[str, npt.ArrayLike] | None,
    seen: Mapping[str, Observation],
    calibration: Calibration | None,
    *,
    equal: bool,
    progress: Progress,
) -> RankProblem:
    weights = {layer.name: _weights_of(layer, alphas) for layer in layers if layer.eligible}
    errors_of = None
    if calibration is not None:
        used = [layer for layer in layers if (layer.shares or layer.name) in seen]
        errors_of = partial(calibration.sensitivities, used, progress=progress)
    return RankProblem(layers, spectra_of(layers, seen), weights, equal, errors_of)


def replaceable(model: nn.Module, layers: Sequence[Layer], example_input: Tensor | Sequence[int] | None) -> list[Layer]:
    """``layers``, with a reason against conversion for those that the network's code does not allow to be replaced."""
    sample = None if example_input is None else surgery.sample(model, example_input)
    reasons = full_rank.differing(model, [layer for layer in layers if layer.eligible], sample)
    return [replace(layer, left_alone=layer.left_alone or reasons.get(layer.name)) for layer in layers]


def _check_plan(model: nn.Module, plan: Plan) -> None:
    """Check at full rank that the layers to convert can be replaced without changing the network's function."""
    planned = {layer.name: index for index, layer in enumerate(plan.layers) if layer.converted}
    layers = [layer for layer in surgery.inspect(model, convert_first=True) if layer.eligible and layer.name in planned]
    for layer in replaceable(model, layers, plan.input_shape):
        if layer.left_alone is not None:
            field = f"layers[{planned[layer.name]}].ranks"
            raise PlanError(
                f"{field}: {layer.name!r} cannot be converted: {layer.left_alone}",
                field=field,
                hint="make a plan for this network, which keeps such layers dense",
            )


def _fit(plan: Plan, calibration: Calibration, progress: Progress) -> nn.Module:
    """The network with the ranks of ``plan`` and factors fitted to the calibration images."""
    model, images = calibration.model, calibration.images
    planned = {layer.name for layer in plan.converted}
    layers = [each for each in surgery.inspect(model, images[:1], convert_first=True) if each.name in planned]
    used = [each for each in layers if each.grids]
    fitted = data_aware.fit(model, plan, used, images, calibration.observe(used), progress=progress)
    return surgery.apply(plan, fitted.model, factors=fitted.factors)


def _check_calibration(plan: Plan, given: CalibrationSet | None) -> None:
    """Check that the images are those that the plan needs, if any."""
    if plan.calibration == given:
        return
    if plan.calibration is None:
        raise PlanError("the plan was made from weights alone", hint="use it without data")
    wanted = f"{plan.calibration.images} images of SHA-256 {plan.calibration.sha256[:12]}…"
    if given is None:
        raise PlanError(f"the plan's factors are fitted to data: {wanted}", hint="give the same calibration images")
    raise PlanError(f"the plan was made for other data: {wanted}", hint="give those, or make a new plan")


def spectra_of(layers: Sequence[Layer], seen: Mapping[str, Observation]) -> dict[str, Spectrum]:
    """The spectrum of each eligible layer by name; layers that share a weight share it."""
    eligible = [layer for layer in layers if layer.eligible]
    holders = [layer for layer in eligible if layer.shares is None]
    found = map_in_threads(lambda layer: surgery.spectrum(layer, seen.get(layer.name)), holders)
    spectra = dict(zip((layer.name for layer in holders), found, strict=True))
    return {layer.name: spectra[layer.shares or layer.name] for layer in eligible}


def _factors(plan: Plan, spectra: Mapping[str, Spectrum]) -> dict[str, Factors]:
    """The factors of each weight to convert, by the name of the layer that holds it."""
    planned = [(layer.name, layer.ranks) for layer in plan.layers if layer.ranks is not None and layer.shares is None]
    found = map_in_threads(lambda item: spectra[item[0]].factors(item[1]), planned)
    return dict(zip((name for name, _ in planned), found, strict=True))


def _layer_plans(
    problem: RankProblem, ranks: Mapping[str, Ints | None], layout: Layout, seen: Mapping[str, Observation]
) -> tuple[LayerPlan, ...]:
    return tuple(
        layer_plan(
            layer, problem.spectra.get(layer.name), ranks.get(layer.name), problem.alphas.get(layer.name), layout, seen
        )
        for layer in problem.layers
    )


def layer_plan(
    layer: Layer,
    spectrum: Spectrum | None,
    ranks: Ints | None,
    weights: npt.ArrayLike | None,
    layout: Layout,
    seen: Mapping[str, Observation],
) -> LayerPlan:
    """The plan of one layer; ``spectrum`` and ``ranks`` are None for a layer that is not converted."""
    e2, energy = None, None
    if spectrum is not None and ranks is not None:
        e2, energy = weighted_error(spectrum, ranks, weights), weighted_error(spectrum, 0 * ranks, weights)
    left_alone = layer.left_alone
    if left_alone is None and ranks is None:
        left_alone = "worth its dense MACs"
    return LayerPlan(
        name=layer.name,
        kind=layer.kind,
        weight_shape=layer.weight_shape,
        parameters_dense=layer.parameters,
        grids=layer.grids,
        shares=layer.shares,
        ranks=None if ranks is None else tuple(ranks.tolist()),
        layout=None if ranks is None else layout,
        e2=e2,
        energy=energy,
        left_alone=left_alone,
        bias_added=ranks is not None and (layer.shares or layer.name) in seen and layer.module.bias is None,
    )


def _weights_of(layer: Layer, alphas: Mapping[str, npt.ArrayLike] | None) -> npt.ArrayLike | None:
    """The alphas of the layer, or of the one whose weight it shares."""
    if alphas is None:
        return None
    name = layer.shares or layer.name
    if name not in alphas:
        raise PlanError(f"alphas: none for layer {name!r}", hint="calibrate this network, or skip the layer")
    return alphas[name]


def _sample_shape(example_input: Tensor | Sequence[int] | None) -> tuple[int, ...] | None:
    if example_input is None:
        return None
    return tuple(example_input.shape[1:]) if isinstance(example_input, Tensor) else tuple(example_input)
