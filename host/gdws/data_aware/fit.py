"""Factors fitted layer by layer, each to what the network before conversion computes there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gdws.algorithms.plan import LayerPlan, Plan
from gdws.algorithms.spectrum import Factors
from gdws.calls import observed
from gdws.data_aware.observe import Observation
from gdws.data_aware.target import Target, with_biases
from gdws.errors import DataError
from gdws.modes import evaluation_mode
from gdws.progress import SILENT, Progress
from gdws.surgery import Layer


@dataclass(frozen=True, eq=False)
class Fitted:
    """``model`` is a copy of the network whose convolutions to convert have biases, the best for ``factors``.

    ``factors`` are by the name of the layer that holds the weight. ``errors`` tell by that name how much of the
    variance of the layer's output the fit leaves, errors of earlier layers included.
    """

    model: nn.Module
    factors: Mapping[str, Factors]
    errors: Mapping[str, float]


def fit(
    model: nn.Module,
    plan: Plan,
    layers: Sequence[Layer],
    images: Tensor,
    seen: Mapping[str, Observation],
    *,
    sweeps: int = 20,
    batch_size: int = 128,
    progress: Progress = SILENT,
) -> Fitted:
    """Fit ``layers``, which ``plan`` converts, in the order in which they run.

    Each layer is fitted to its output in ``model``, from its input in the network as converted so far: so it makes up
    for what the layers before it lost. ``layers`` are layers of ``model`` that run, with their calls counted;
    ``images`` (N, C, H, W) are what they are fitted on, and ``seen`` has what :func:`gdws.data_aware.observe` saw.
    ``sweeps`` says how often filters and pointwise weights are refitted in turn after the first fit, at most.

    Memory does not grow with the number of images. Raises :class:`~gdws.errors.DataError` if there are too few.
    """
    running = with_biases(model, layers)
    factors: dict[str, Factors] = {}
    errors: dict[str, float] = {}
    planned = {layer.name: layer for layer in plan.layers if layer.converted}
    groups = _groups(layers)
    progress.start(len(groups), f"fit {len(groups)} layers to {len(images)} images")
    with evaluation_mode(model), evaluation_mode(running):
        for name in _order(model, groups, images[:1]):
            target = Target(model, running, groups[name])
            layer = planned[name]
            wanted = target.problem(images, seen[name].outputs, batch_size)
            _check_patches(layer, wanted.ridge_data[0].count, len(images))
            found = wanted.fit(layer.ranks or (), sweeps)
            factors[name], errors[name] = found.factors, found.error
            target.replace(found.factors, found.bias)
            progress.advance(1, layer=name, error=f"{errors[name]:.2%}")
    return Fitted(running, factors, errors)


def _check_patches(planned: LayerPlan, patches: int, images: int) -> None:
    components = sum(planned.ranks or ())
    if patches < components:
        raise DataError(
            f"layer {planned.name!r} has {components} components and sees {patches} patches",
            hint=f"calibrate on at least {-(-components * images // patches)} images, or ask for a smaller rank",
        )


def _groups(layers: Iterable[Layer]) -> dict[str, list[Layer]]:
    """The layers by the name of the one that holds their weight."""
    groups: dict[str, list[Layer]] = {}
    for layer in layers:
        groups.setdefault(layer.shares or layer.name, []).append(layer)
    return groups


def _order(model: nn.Module, groups: Mapping[str, Sequence[Layer]], sample: Tensor) -> list[str]:
    """The names in the order in which their layers first run; a layer that does not run is left out."""
    names: list[str] = []
    notes = [
        (layer.module, lambda *_, name=name: names.append(name)) for name, group in groups.items() for layer in group
    ]
    with torch.no_grad(), observed(notes):
        model(sample.to(next(model.parameters()).device))
    return list(dict.fromkeys(names))
