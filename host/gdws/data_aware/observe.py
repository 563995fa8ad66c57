"""Second moments of each layer's patches, and how much its output errors matter."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from gdws import margins
from gdws.algorithms.spectrum import Floats
from gdws.calls import observed
from gdws.data_aware.capture import by_channel, patches
from gdws.modes import evaluation_mode
from gdws.outputs import logits_of
from gdws.surgery import Layer

#: Differences of logits below this share of a sample's range count as that much. Adversarial inputs lie at the
#: decision boundary, where the weight 1/delta^2 of a few samples would outweigh all others.
TIE = 0.1


@dataclass(frozen=True, eq=False)
class Observation:
    """What one weight meets.

    ``inputs`` (C, Kh*Kw, Kh*Kw) is the mean second moment of the patches of each input channel. ``outputs`` (M, M)
    is the expected second moment, summed over positions, of the gradients of the logit differences that decide, each
    scaled as in Equation 8: a change of the output by independent errors e at the positions moves the decision by
    E[e^T ``outputs`` e].
    """

    inputs: Floats
    outputs: Floats


def observe(
    model: nn.Module,
    layers: Sequence[Layer],
    images: Tensor,
    *,
    batch_size: int = 64,
    seed: int = 0,
    progress: Callable[[int], object] | None = None,
) -> dict[str, Observation]:
    """Return the observation of each weight of ``layers``, by the name of the layer that holds it.

    ``images`` (N, C, H, W) run in evaluation mode; signs are drawn with ``seed``. ``progress`` is called with the
    number of images done since the last call. Raises :class:`~gdws.errors.ModelError` if the network is no classifier.
    """
    sums: dict[str, _Sums] = {}
    generator = torch.Generator().manual_seed(seed)
    device = next(model.parameters()).device
    with evaluation_mode(model):
        for x in torch.split(images, batch_size):
            calls, logits = _forward(model, layers, x.to(device))
            edges = [edge for seen in calls.values() for _, edge in seen]
            cotangent = margins.random_sum(logits.detach().cpu(), TIE, generator).to(logits)
            gradients = iter(torch.autograd.grad(logits, edges, cotangent, allow_unused=True))
            for name, seen in calls.items():
                for columns, _ in seen:
                    sums.setdefault(name, _Sums()).add(columns, next(gradients))
            if progress is not None:
                progress(len(x))
    shapes = {layer.shares or layer.name: layer.weight_shape for layer in layers}
    return {name: total.mean(shapes[name], len(images)) for name, total in sums.items()}


class _Sums:
    """Sums over the calls of one weight."""

    def __init__(self) -> None:
        self._inputs: Floats | float = 0.0
        self._outputs: Floats | float = 0.0
        self._patches = 0

    def add(self, columns: Tensor, gradient: Tensor | None) -> None:
        """Take in patches (C, Kh*Kw, B*P) and the gradient by the output; None where the logits do not depend on it."""
        self._inputs = self._inputs + (columns @ columns.mT).double().cpu().numpy()
        self._patches += columns.shape[2]
        if gradient is not None:
            rows = by_channel(gradient)
            self._outputs = self._outputs + (rows @ rows.mT).double().cpu().numpy()

    def mean(self, weight_shape: Sequence[int], images: int) -> Observation:
        """The means over patches and over images."""
        M = weight_shape[0]
        return Observation(
            inputs=np.asarray(self._inputs) / self._patches,
            outputs=np.broadcast_to(np.asarray(self._outputs), (M, M)) / images,
        )


Seen = Mapping[str, Sequence[tuple[Tensor, GradientEdge]]]


def _forward(model: nn.Module, layers: Sequence[Layer], x: Tensor) -> tuple[Seen, Tensor]:
    """Run ``x``; return patches and gradient edge of each call, by the name of the holder of the weight, and logits."""
    seen: dict[str, list[tuple[Tensor, GradientEdge]]] = {}

    def note(name: str, module: nn.Module, x_in: Tensor, output: Tensor) -> None:
        conv = cast(nn.Conv2d, module)
        columns = patches(conv, x_in.detach(), output)
        columns = columns.reshape(conv.in_channels, -1, columns.shape[1])
        seen.setdefault(name, []).append((columns, get_gradient_edge(output)))

    notes = [(layer.module, partial(note, layer.shares or layer.name)) for layer in layers]
    with torch.enable_grad(), observed(notes):
        logits = logits_of(model, x.detach().clone().requires_grad_(True), classes=2)
    return seen, logits
