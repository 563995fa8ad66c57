"""Runs all calibration images through the network, layer by layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from types import TracebackType
from typing import cast

import torch
from torch import Tensor, nn

from gdws._util import memory
from gdws._util.calls import observed
from gdws._util.modes import evaluation_mode
from gdws.algorithms.fit_layer import LayerProblem
from gdws.algorithms.spectrum import Floats
from gdws.compression.fitting.live_memory import stopped_bytes
from gdws.compression.fitting.passes import Passes, Stop
from gdws.compression.fitting.patch_moments import PatchMoments
from gdws.compression.fitting.patches import HELD_OUT
from gdws.compression.layers import Conv
from gdws.compression.surgery import Layer

#: Paused passes may take one part in this many of the memory.
_SHARE = 4


class Walk:
    """Passes of ``images`` (N, C, H, W) through ``model``, and in parallel through ``running``; a context manager.

    ``layers`` are layers of ``model``. ``running`` is a copy that is being converted: each weight must be replaced
    before the next problem is requested, in the order of :attr:`calls`. Without it, ``model`` takes its place.

    Paused passes take at most ``memory_bytes``, by default a quarter of the device's memory.
    """

    def __init__(
        self,
        model: nn.Module,
        layers: Sequence[Layer],
        images: Tensor,
        running: nn.Module | None = None,
        *,
        batch_size: int,
        memory_bytes: int | None = None,
    ) -> None:
        self._networks = [model] if running is None else [model, running]
        with evaluation_mode(model):
            self.calls = _calls(model, layers, images[:1])
            self.held = self._affordable(images[:1], batch_size, memory_bytes)
        is_held_out = torch.arange(len(images)) % HELD_OUT == 0
        self._batches = [
            (held_out, batch)
            for held_out in (False, True)
            for batch in torch.split(images[is_held_out == held_out], batch_size)
        ]
        self._open = ExitStack()

    calls: Mapping[str, Sequence[Layer]]
    """The layers that use a weight, one for each call, by the name of the one that holds it; in order of first call."""

    def __enter__(self) -> Walk:
        batches = [batch for _, batch in self._batches]
        with ExitStack() as opening:
            for network in self._networks:
                opening.enter_context(evaluation_mode(network))
            # The first tells what a layer gives, the last what it takes, before it runs where it is to be replaced.
            self._passes = [
                opening.enter_context(
                    Passes(network, self._convolutions(network), batches, held=self.held, after=number == 0)
                )
                for number, network in enumerate(self._networks)
            ]
            self._open = opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open.close()

    def problem(self, name: str, outputs: Floats) -> LayerProblem:
        """The problem of fitting the weight of the layer ``name``.

        The targets are its outputs without bias in the original network, given its inputs in the running network. One
        image in :data:`HELD_OUT` is held out to choose the ridge. ``outputs`` (M, M) weights errors, see
        :class:`~gdws.compression.fitting.observe.Observation`.
        """
        layers = self.calls[name]
        M, C, Kh, Kw = layers[0].weight_shape
        train, held_out = PatchMoments((M, C, Kh, Kw)), PatchMoments((M, C, Kh, Kw))
        with ExitStack() as closed_on_errors:
            stops = [
                closed_on_errors.enter_context(closing(passes.at([_convolution(network, layer) for layer in layers])))
                for network, passes in zip(self._networks, self._passes, strict=True)
            ]
            for (is_held_out, _), each in zip(self._batches, zip(*stops, strict=True), strict=True):
                for stop, met in zip(each[0], each[-1], strict=True):
                    (held_out if is_held_out else train).add(stop.convolution, met.input, _without_bias(stop))
        weight = _convolution(self._networks[0], layers[0]).weight.detach().double().flatten(1).cpu().numpy()
        return LayerProblem.of(weight, (M, C, Kh, Kw), (train.mean(), held_out.mean()), outputs)

    def _convolutions(self, network: nn.Module) -> list[Conv]:
        return [_convolution(network, layer) for layer in _distinct(self.calls)]

    def _affordable(self, sample: Tensor, batch_size: int, memory_bytes: int | None) -> int:
        """How many batches may be paused between two layers."""
        model = self._networks[0]
        if memory_bytes is None:
            memory_bytes = memory.total_bytes(next(model.parameters()).device) // _SHARE
        each = stopped_bytes(model, self._convolutions(model), sample) * len(self._networks)
        return memory_bytes // max(1, each * batch_size)


def _calls(model: nn.Module, layers: Sequence[Layer], sample: Tensor) -> dict[str, list[Layer]]:
    """The layers by the name of the one that has their weight, once for each call; without those that do not run."""
    found: dict[str, list[Layer]] = {}

    def note(layer: Layer, *_: object) -> None:
        found.setdefault(layer.shares or layer.name, []).append(layer)

    with torch.no_grad(), observed((layer.module, partial(note, layer)) for layer in layers):
        model(sample.to(next(model.parameters()).device))
    return found


def _distinct(calls: Mapping[str, Sequence[Layer]]) -> Iterator[Layer]:
    for layers in calls.values():
        yield from {layer.name: layer for layer in layers}.values()


def _convolution(network: nn.Module, layer: Layer) -> Conv:
    return cast(Conv, network.get_submodule(layer.name))


def _without_bias(stop: Stop) -> Tensor:
    """The output (B, M, H', W') less the bias."""
    assert stop.output is not None
    bias = stop.convolution.bias
    return stop.output if bias is None else stop.output - bias.detach().view(-1, *[1] * (stop.output.ndim - 2))
