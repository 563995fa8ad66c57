"""Finds the layers of a network that GDWS can replace, and replaces them.

Surgery works on torch modules only; networks in other formats are rebuilt as torch modules first.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.parameter import is_lazy

from gdws._util.calls import observed
from gdws._util.copies import copied
from gdws._util.modes import evaluation_mode
from gdws._util.outputs import run
from gdws._util.threads import map_in_threads
from gdws.algorithms.spectrum import Factors, Floats, Spectrum, SpectrumError, decompose
from gdws.compression import eligibility
from gdws.compression.eligibility import Weighted
from gdws.compression.layers import Conv, GDWSConv2d, replace
from gdws.compression.plain import plain
from gdws.errors import ModelError, NonFiniteWeights, PlanError
from gdws_contract.plan import LayerPlan, Plan

Grid = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer with a weight in a network.

    ``name`` is its first dotted name; ``aliases`` are its other names, if it is registered more than once.
    ``weight_shape`` is the shape as stored, except (M, C, 1, K) for a 1D convolution, treated as one of height 1.
    ``parameters`` counts those that no earlier layer has. ``grids`` has the (height, width) of the output positions for
    each call in a forward pass of one sample, or None without an example input and for a subclass that does not return
    a tensor (see :class:`~gdws_contract.plan.LayerPlan`). ``shares`` names the first layer with the same weight.
    ``left_alone`` says why the layer is not converted; None if it can be.
    """

    name: str
    aliases: tuple[str, ...]
    module: Weighted
    kind: str
    weight_shape: tuple[int, ...]
    parameters: int
    grids: tuple[Grid, ...] | None
    shares: str | None
    left_alone: str | None

    @property
    def eligible(self) -> bool:
        """Whether the layer can be converted."""
        return self.left_alone is None


def inspect(
    model: nn.Module,
    example_input: Tensor | Sequence[int] | None = None,
    *,
    skip: str | Iterable[str] = (),
    convert_first: bool = False,
) -> list[Layer]:
    """Return every convolution and linear layer of ``model``, in order of declaration.

    Not converted, with the reason, are: grouped, depthwise, transposed and 3D convolutions; 1x1 kernels; the
    first convolution unless ``convert_first``; layers with hooks, which may read the weight; layers that match
    ``skip``; and a weight shared with a layer that is not converted.

    Subclasses of a convolution and computed weights (weight norm, pruning masks, parametrizations) are treated as the
    equivalent plain convolutions, see :mod:`gdws.compression.plain`, or not converted if there is none.

    Args:
        model: the network; it is not changed.
        example_input: a batch (N, C, H, W), or the shape (C, H, W) of one sample. With it one sample is run,
            in evaluation mode, to count MACs.
        skip: names or shell patterns of layers to keep dense; a container includes all layers in it.
        convert_first: whether the first convolution may be converted. It is the first that runs if there is
            an example input, else the first declared.

    Raises :class:`~gdws.errors.ModelError` if a pattern matches no layer, a layer is not initialised, or the
    example input does not run.
    """
    model = plain(model)
    names, modules = _weighted_modules(model)
    calls = None if example_input is None else _trace(model, modules, example_input)
    reasons = [eligibility.structural_reason(module) for module in modules]
    if not convert_first and (first := _first_convolution(modules, calls)) is not None:
        reasons[first] = reasons[first] or "the first convolution"
    for index in eligibility.matching(names, [skip] if isinstance(skip, str) else list(skip)):
        reasons[index] = "excluded by name"
    holders = eligibility.weight_holders(model, modules)
    reasons = eligibility.sharing_reasons(holders, reasons, [first_name for first_name, *_ in names])

    layers: list[Layer] = []
    counted: set[int] = set()
    for index, module in enumerate(modules):
        own = {id(p): p.numel() for p in module.parameters() if id(p) not in counted}
        counted.update(own)
        grids = None if calls is None else calls[id(module)]
        holder = next(i for i in holders.get(id(module.weight), [index]) if i != eligibility.FOREIGN)
        layers.append(
            Layer(
                name=names[index][0],
                aliases=tuple(names[index][1:]),
                module=module,
                kind=_kind(module),
                weight_shape=_shape(module),
                parameters=sum(own.values()),
                grids=None if grids is None else tuple(grids),
                shares=None if holder == index else names[holder][0],
                left_alone=reasons[index],
            )
        )
    return layers


class Moments(Protocol):
    """Second moments that a spectrum may be taken with, see :mod:`gdws.algorithms.spectrum`."""

    @property
    def inputs(self) -> Floats:
        """Of the patches of each input channel, (C, Kh*Kw, Kh*Kw)."""

    @property
    def outputs(self) -> Floats:
        """Weight of output errors, (M, M)."""


def spectrum(layer: Layer, moments: Moments | None = None) -> Spectrum:
    """Return the spectrum of the layer's weight. Raises :class:`~gdws.errors.NonFiniteWeights`."""
    weight = layer.module.weight.detach()
    wide = weight.to("cpu", torch.promote_types(weight.dtype, torch.float32)).reshape(layer.weight_shape)
    try:
        if moments is None:
            return decompose(wide.numpy())
        return decompose(wide.numpy(), inputs=moments.inputs, outputs=moments.outputs)
    except SpectrumError as error:
        raise NonFiniteWeights(
            f"layer {layer.name!r}: {error}",
            layer=layer.name,
            hint="check the checkpoint: training may have diverged, or the file may be damaged",
        ) from error


def apply(plan: Plan, model: nn.Module, *, factors: Mapping[str, Factors] | None = None) -> nn.Module:
    """Return a copy of ``model`` with the plan's layers as GDWS convolutions.

    ``model`` is not changed. Training flags, devices, dtypes and ``requires_grad`` are kept. Layers that are
    one module, or hold one weight, stay so. ``factors`` gives factors already found, by the name of the layer or of
    the one that holds its weight; others are the best approximations of the weights.

    Raises :class:`~gdws.errors.PlanError` naming the field if the plan does not fit the network,
    :class:`~gdws.errors.NonFiniteWeights`, and :class:`~gdws.errors.ModelError` if the network cannot be
    copied.
    """
    eligibility.require_weights(model)
    model = plain(model)
    targets = _targets(plan, model)
    converted = copied(model)
    known = factors or {}
    found = map_in_threads(lambda target: _factors(*target, known), targets)
    replacements: dict[int, nn.Module] = {}
    twins: dict[int, GDWSConv2d] = {}
    for (planned, layer), weights in zip(targets, found, strict=True):
        conv = cast(Conv, converted.get_submodule(layer.name))
        replacement = _gdws_conv(conv, planned, weights)
        twin = twins.setdefault(id(conv.weight), replacement)
        if twin is not replacement:
            replacement.tie_weights(twin)
        replacements[id(conv)] = replacement
    return replace(converted, replacements)


def _weighted_modules(model: nn.Module) -> tuple[list[list[str]], list[Weighted]]:
    """The names of each convolution and linear layer, and the layers, in order of declaration."""
    if isinstance(model, torch.jit.ScriptModule):
        raise ModelError(
            "the model is TorchScript, which cannot be rewired", hint="use the module that it was compiled from"
        )
    modules: dict[int, Weighted] = {}
    names: dict[int, list[str]] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        if isinstance(module, _ConvNd | nn.Linear):
            modules[id(module)] = module
            names.setdefault(id(module), []).append(name)
            if is_lazy(module.weight):
                raise ModelError(
                    f"layer {name!r} is not initialised", layer=name, hint="run the model on an input first"
                )
    return list(names.values()), list(modules.values())


def _first_convolution(modules: Sequence[Weighted], calls: Mapping[int, Sequence[Grid] | None] | None) -> int | None:
    """Index of the first convolution of any kind: the first to run if calls are known, otherwise the first declared."""
    positions = {id(module): i for i, module in enumerate(modules) if isinstance(module, _ConvNd)}
    order = positions if calls is None else [key for key, grids in calls.items() if grids or grids is None]
    return next((positions[key] for key in order if key in positions), None)


def _trace(
    model: nn.Module, modules: Sequence[Weighted], example_input: Tensor | Sequence[int]
) -> dict[int, list[Grid] | None]:
    """Run one sample; return the grids of each module's calls, by identity, in order of the first call.

    They are None, meaning unknown, for a subclass whose outputs are not tensors.
    """
    calls: dict[int, list[Grid] | None] = {}

    def record(module: nn.Module, x: Any, output: Any) -> None:
        known = calls.setdefault(id(module), [])
        if known is None or not (isinstance(x, Tensor) and isinstance(output, Tensor)):
            calls[id(module)] = None
        else:
            known.extend(_grids(module, x, output))

    image = sample(model, example_input)
    with evaluation_mode(model), torch.no_grad(), observed((module, record) for module in modules):
        run(model, image)
    for module in modules:
        calls.setdefault(id(module), [])
    return calls


def sample(model: nn.Module, example_input: Tensor | Sequence[int]) -> Tensor:
    """One sample (1, C, H, W) on the model's device: the first of a batch, or noise of a shape.

    Of a batch on torch's meta device only the shape is used.
    """
    like = next((p for p in model.parameters() if p.is_floating_point()), torch.empty(0))
    if isinstance(example_input, Tensor):
        if not example_input.is_meta:
            return example_input[:1].to(like.device)
        example_input = example_input.shape[1:]
    noise = torch.rand(1, *example_input, generator=torch.Generator().manual_seed(0))
    return noise.to(like)


def _grids(module: nn.Module, x: Tensor, output: Tensor) -> list[Grid]:
    """The output positions of one call; a batch other than 1 means that the model folded another axis into it."""
    if isinstance(module, nn.Linear):
        return [(output.numel() // module.out_features, 1)]
    size = (x if isinstance(module, _ConvTransposeNd) else output).shape
    return [(math.prod(size[2:-1]), size[-1])] * size[0]


def _shape(module: Weighted) -> tuple[int, ...]:
    shape = tuple(module.weight.shape)
    return (*shape[:2], 1, *shape[2:]) if isinstance(module, nn.Conv1d) else shape


def _kind(module: Weighted) -> str:
    kinds = (
        nn.Linear,
        nn.Conv1d,
        nn.Conv2d,
        nn.Conv3d,
        nn.ConvTranspose1d,
        nn.ConvTranspose2d,
        nn.ConvTranspose3d,
    )
    return next((kind.__name__ for kind in kinds if isinstance(module, kind)), type(module).__name__).lower()


def _targets(plan: Plan, model: nn.Module) -> list[tuple[LayerPlan, Layer]]:
    """The layers to convert with their plans, checked against the network."""
    layers = {name: layer for layer in inspect(model, convert_first=True) for name in (layer.name, *layer.aliases)}
    targets: dict[str, tuple[int, LayerPlan, Layer]] = {}
    for index, planned in enumerate(plan.layers):
        layer = layers.get(planned.name)
        if layer is None:
            raise _misfit(index, "name", f"the model has no layer {planned.name!r}")
        if planned.weight_shape not in (layer.weight_shape, tuple(layer.module.weight.shape)):
            expected, found = planned.weight_shape, layer.weight_shape
            raise _misfit(index, "weight_shape", f"{planned.name!r} is {expected} in the plan but {found} in the model")
        if planned.converted:
            if not layer.eligible:
                raise _misfit(index, "ranks", f"{planned.name!r} cannot be converted: {layer.left_alone}")
            targets[layer.name] = (index, planned, layer)
    for layer in layers.values():
        _check_sharing(layer, targets)
    return [(planned, layer) for _, planned, layer in targets.values()]


def _check_sharing(layer: Layer, targets: Mapping[str, tuple[int, LayerPlan, Layer]]) -> None:
    """Check that layers with the same weight have the same plan."""
    if layer.shares is None:
        return
    pair = [targets.get(layer.name), targets.get(layer.shares)]
    planned = [None if target is None else (target[1].ranks, target[1].layout) for target in pair]
    if planned[0] != planned[1]:
        index = next(target[0] for target in pair if target is not None)
        raise _misfit(index, "ranks", f"{layer.name!r} and {layer.shares!r} share a weight but have different plans")


def _misfit(index: int, field: str, problem: str) -> PlanError:
    path = f"layers[{index}].{field}"
    return PlanError(f"{path}: {problem}", field=path, hint="use the plan with the network it was made for")


def _factors(planned: LayerPlan, layer: Layer, known: Mapping[str, Factors]) -> Factors:
    assert planned.ranks is not None
    return known.get(layer.shares or layer.name) or spectrum(layer).factors(planned.ranks)


def _gdws_conv(conv: Conv, planned: LayerPlan, factors: Factors) -> GDWSConv2d:
    """The GDWS convolution for ``conv`` by the plan."""
    assert planned.ranks is not None
    assert planned.layout is not None
    depthwise, pointwise = (torch.from_numpy(array).to(conv.weight) for array in (factors.depthwise, factors.pointwise))
    return GDWSConv2d.in_place_of(conv, depthwise, pointwise, planned.ranks, layout=planned.layout)
