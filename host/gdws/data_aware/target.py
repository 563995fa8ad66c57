"""One weight of a network, in the network before conversion and in the one that is being converted."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from gdws.algorithms.fit_layer import LayerProblem
from gdws.algorithms.refit import Moments
from gdws.algorithms.spectrum import Factors, Floats
from gdws.data_aware.capture import by_channel, patches, run_until
from gdws.surgery import Layer

#: One image in so many is kept to choose the ridge by.
HELD_OUT = 5


class Target:
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

    def problem(self, images: Tensor, outputs: Floats, batch_size: int) -> LayerProblem:
        """What the weight is fitted to; one image in :data:`HELD_OUT` judges the ridge."""
        held_out = torch.arange(len(images)) % HELD_OUT == 0
        train, validation = (self.moments(_batches(images[part], batch_size)) for part in (~held_out, held_out))
        M, C, Kh, Kw = self.layers[0].weight_shape
        return LayerProblem.of(self.weight, (M, C, Kh, Kw), (train, validation), outputs)

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
        self._x = self._x + x.sum(1, dtype=torch.float64)
        self._y = self._y + y.sum(1, dtype=torch.float64)
        self._yy += float(torch.linalg.vector_norm(y, dtype=torch.float64)) ** 2
        self._count += x.shape[1]

    def mean(self) -> Moments:
        xx, yx, x, y = (
            cast(Tensor, total).cpu().numpy() / self._count for total in (self._xx, self._yx, self._x, self._y)
        )
        return Moments(xx=xx, yx=yx, yy=self._yy / self._count, x=x, y=y, count=self._count)


def _batches(images: Tensor, size: int) -> list[Tensor]:
    return [images[start : start + size] for start in range(0, len(images), size)]


def with_biases(model: nn.Module, layers: Iterable[Layer]) -> nn.Module:
    """A copy of ``model`` in which each of ``layers`` has a bias of its own."""
    running = copy.deepcopy(model)
    for layer in layers:
        conv = cast(nn.Conv2d, running.get_submodule(layer.name))
        bias = torch.zeros(conv.out_channels) if conv.bias is None else conv.bias.detach().clone()
        conv.bias = nn.Parameter(bias.to(conv.weight), requires_grad=conv.weight.requires_grad)
    return running
