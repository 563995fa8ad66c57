"""Factors fitted layer by layer, each to what the network before conversion computes there."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from gdws.algorithms.plan import LayerPlan, Plan
from gdws.algorithms.refit import Fit, Moments, Projection, best_dense, choose_ridge, refit_depthwise
from gdws.algorithms.spectrum import Factors, Floats, decompose
from gdws.data_aware.capture import by_channel, patches, run_until
from gdws.data_aware.observe import Observation
from gdws.errors import DataError
from gdws.modes import evaluation_mode
from gdws.progress import SILENT, Progress
from gdws.surgery import Layer

#: One image in so many is kept to choose the ridge by.
HELD_OUT = 5
_DENSE_RIDGE = 1e-4
_FILTER_RIDGE = 1e-3


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
    sweeps: int = 2,
    batch_size: int = 128,
    progress: Progress = SILENT,
) -> Fitted:
    """Fit ``layers``, which ``plan`` converts, in the order in which they run.

    Each layer is fitted to its output in ``model``, from its input in the network as converted so far: so it makes up
    for what the layers before it lost. ``layers`` are layers of ``model`` that run, with their calls counted;
    ``images`` (N, C, H, W) are what they are fitted on, and ``seen`` has what :func:`gdws.data_aware.observe` saw.
    ``sweeps`` says how often filters and pointwise weights are refitted in turn after the first fit.

    Memory does not grow with the number of images. Raises :class:`~gdws.errors.DataError` if there are too few.
    """
    running = _with_biases(model, layers)
    factors: dict[str, Factors] = {}
    errors: dict[str, float] = {}
    planned = {layer.name: layer for layer in plan.layers if layer.converted}
    groups = _groups(layers)
    progress.start(len(groups), f"fit {len(groups)} layers to {len(images)} images")
    with evaluation_mode(model), evaluation_mode(running):
        for name in _order(model, groups, images[:1]):
            target = _Target(model, running, groups[name])
            found, bias, errors[name] = _fit_layer(target, planned[name], images, seen[name], sweeps, batch_size)
            factors[name] = found
            target.replace(found, bias)
            progress.advance(1, layer=name, error=f"{errors[name]:.2%}")
    return Fitted(running, factors, errors)


class _Target:
    """One weight in both networks, with all layers that use it."""

    def __init__(self, model: nn.Module, running: nn.Module, layers: Sequence[Layer]) -> None:
        self.layers = layers
        self.calls = sum(len(layer.grids or ()) for layer in layers)
        self._model, self._running = model, running
        self._originals = [cast(nn.Conv2d, model.get_submodule(layer.name)) for layer in layers]
        self._copies = [cast(nn.Conv2d, running.get_submodule(layer.name)) for layer in layers]

    @property
    def weight(self) -> Floats:
        """(M, C*Kh*Kw), as trained."""
        weight: Floats = self._originals[0].weight.detach().double().flatten(1).cpu().numpy()
        return weight

    def moments(self, images: Iterable[Tensor]) -> Moments:
        """Second moments of patches in the running network and of outputs without bias in the other."""
        sums = _MomentSums()
        for x in images:
            batch = x.to(self._originals[0].weight.device)
            inputs = run_until(self._running, self._copies, self.calls, batch)
            outputs = run_until(self._model, self._originals, self.calls, batch)
            for ours, wanted in zip(inputs, outputs, strict=True):
                sums.add(patches(ours.convolution, ours.input, ours.output), by_channel(wanted.output))
        return sums.mean()

    def replace(self, factors: Factors, bias: Floats) -> None:
        """Let the running network compute what the factors amount to, with ``bias`` (M,) beside each layer's own."""
        components = factors.pointwise.T[:, :, None, None] * factors.depthwise[:, None]  # (G, M, Kh, Kw)
        dense = torch.zeros_like(self._copies[0].weight, dtype=torch.float64).transpose(0, 1).contiguous()
        dense.index_add_(0, torch.from_numpy(factors.channels), torch.from_numpy(components).to(dense))
        with torch.no_grad():
            for conv in self._copies:
                conv.weight.copy_(dense.transpose(0, 1))
                cast(nn.Parameter, conv.bias).add_(torch.from_numpy(bias).to(conv.weight))


class _MomentSums:
    """Sums in float64; products of one batch are taken in the dtype of the network."""

    def __init__(self) -> None:
        self._xx: Tensor | float = 0.0
        self._yx: Tensor | float = 0.0
        self._x: Tensor | float = 0.0
        self._y: Tensor | float = 0.0
        self._yy = 0.0
        self._count = 0

    def add(self, x: Tensor, y: Tensor) -> None:
        """Take in patches (C*Kh*Kw, n) and targets (M, n)."""
        self._xx = self._xx + (x @ x.mT).double()
        self._yx = self._yx + (y @ x.mT).double()
        self._x, self._y = self._x + x.double().sum(1), self._y + y.double().sum(1)
        self._yy += float(y.double().square().sum())
        self._count += x.shape[1]

    def mean(self) -> Moments:
        xx, yx, x, y = (
            cast(Tensor, total).cpu().numpy() / self._count for total in (self._xx, self._yx, self._x, self._y)
        )
        return Moments(xx=xx, yx=yx, yy=self._yy / self._count, x=x, y=y, count=self._count)


def _fit_layer(
    target: _Target, planned: LayerPlan, images: Tensor, seen: Observation, sweeps: int, batch_size: int
) -> tuple[Factors, Floats, float]:
    """Factors, what to add to the bias (M,), and the relative error of one weight."""
    assert planned.ranks is not None
    M, C, Kh, Kw = planned.weight_shape
    held_out = torch.arange(len(images)) % HELD_OUT == 0
    train, validation = (target.moments(_batches(images[part], batch_size)) for part in (~held_out, held_out))
    if train.count < sum(planned.ranks):
        needed = -(-sum(planned.ranks) * len(images) // train.count)
        raise DataError(
            f"layer {planned.name!r} has {sum(planned.ranks)} components and sees {train.count} patches",
            hint=f"calibrate on at least {needed} images, or ask for a smaller rank",
        )
    everything = train.pooled(validation)
    moments = everything.centred()
    weight = best_dense(target.weight, moments, _DENSE_RIDGE)
    spectrum = decompose(weight.reshape(M, C, Kh, Kw), inputs=moments.of_channels(C), outputs=seen.outputs)
    start = spectrum.factors(planned.ranks)
    found = Fit(start.channels, start.depthwise.reshape(-1, Kh * Kw), start.pointwise)
    ridge = choose_ridge(Projection.of(found, train.centred()), Projection.of(found, validation.centred()))
    projection = Projection.of(found, moments)
    found = _with_pointwise(found, projection, ridge)
    for _ in range(sweeps):
        found = refit_depthwise(found, moments, _FILTER_RIDGE)
        projection = Projection.of(found, moments)
        found = _with_pointwise(found, projection, ridge)
    factors = Factors(found.channels, found.depthwise.reshape(-1, Kh, Kw), found.pointwise)
    return factors, found.bias(everything), projection.relative_error(found.pointwise)


def _batches(images: Tensor, size: int) -> list[Tensor]:
    return [images[start : start + size] for start in range(0, len(images), size)]


def _with_pointwise(found: Fit, projection: Projection, ridge: float) -> Fit:
    return Fit(found.channels, found.depthwise, projection.best_pointwise(ridge))


def _with_biases(model: nn.Module, layers: Iterable[Layer]) -> nn.Module:
    """A copy of ``model`` in which each of ``layers`` has a bias of its own."""
    running = copy.deepcopy(model)
    for layer in layers:
        conv = cast(nn.Conv2d, running.get_submodule(layer.name))
        bias = torch.zeros(conv.out_channels) if conv.bias is None else conv.bias.detach().clone()
        conv.bias = nn.Parameter(bias.to(conv.weight), requires_grad=conv.weight.requires_grad)
    return running


def _groups(layers: Iterable[Layer]) -> dict[str, list[Layer]]:
    """The layers by the name of the one that holds their weight."""
    groups: dict[str, list[Layer]] = {}
    for layer in layers:
        groups.setdefault(layer.shares or layer.name, []).append(layer)
    return groups


def _order(model: nn.Module, groups: Mapping[str, Sequence[Layer]], sample: Tensor) -> list[str]:
    """The names in the order in which their layers first run; a layer that does not run is left out."""
    names: list[str] = []
    handles = [
        layer.module.register_forward_hook(lambda *_, name=name: names.append(name))
        for name, group in groups.items()
        for layer in group
    ]
    try:
        with torch.no_grad():
            model(sample.to(next(model.parameters()).device))
    finally:
        for handle in handles:
            handle.remove()
    return list(dict.fromkeys(names))
