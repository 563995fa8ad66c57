"""Second moments of each layer's patches, and weights of its output errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from gdws._util.calls import observed
from gdws._util.modes import evaluation_mode
from gdws._util.outputs import run
from gdws.algorithms.spectrum import Floats
from gdws.compression.calibration.gradient_norms import Call
from gdws.compression.calibration.projections import Projection, decision
from gdws.compression.fitting.patch_moments import channel_moments
from gdws.compression.layers import Conv
from gdws.compression.surgery import Layer


@dataclass(frozen=True, eq=False)
class Observation:
    """Statistics at one weight.

    ``inputs`` (C, Kh*Kw, Kh*Kw) is the mean second moment of the patches of each input channel. ``outputs`` (M, M)
    is the expected second moment, summed over positions, of the gradients of a random projection of the network's
    outputs: independent errors e at the positions change the projection by E[e^T ``outputs`` e], in squares. For a
    classifier that is the change of the decision.
    """

    inputs: Floats
    outputs: Floats


def observe(
    model: nn.Module,
    layers: Sequence[Layer],
    images: Tensor,
    projection: Projection = decision,
    *,
    batch_size: int = 16,
    seed: int = 0,
    progress: Callable[[int], object] | None = None,
) -> dict[str, Observation]:
    """Return the observation of each weight of ``layers``, by the name of the layer that holds it.

    ``images`` (N, C, H, W) run in evaluation mode, ``batch_size`` at a time, whose activations are all held for the
    backward pass. ``projection`` says what matters of the outputs; its signs are drawn with ``seed``. For a classifier
    the result does not depend on ``batch_size``, up to rounding. ``progress`` is called with the number of images done
    since the last call. Raises :class:`~gdws.errors.ModelError` if the projection is not one of such outputs.
    """
    sums: dict[str, _Sums] = {}
    generator = torch.Generator().manual_seed(seed)
    device = next(model.parameters()).device
    with evaluation_mode(model):
        for x in torch.split(images, batch_size):
            edges, output = _forward(model, layers, x.to(device), sums)
            with torch.enable_grad():
                projected = projection(output, len(x), generator)
            gradients = torch.autograd.grad(projected, [edge for _, edge in edges], allow_unused=True)
            for (name, _), gradient in zip(edges, gradients, strict=True):
                if gradient is not None:  # the outputs depend on it
                    sums[name].add_gradient(gradient)
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

    def add_input(self, call: Call) -> None:
        """Take in the patches of a call."""
        self._inputs = self._inputs + channel_moments(call).cpu().numpy()
        self._patches += len(call.padded) * call.positions

    def add_gradient(self, gradient: Tensor) -> None:
        """Take in the gradient (B, M, H', W') by the output of a call."""
        rows = gradient.transpose(0, 1).flatten(1)
        self._outputs = self._outputs + (rows @ rows.mT).double().cpu().numpy()

    def mean(self, weight_shape: Sequence[int], images: int) -> Observation:
        """The means over patches and over images."""
        M = weight_shape[0]
        return Observation(
            inputs=np.asarray(self._inputs) / self._patches,
            outputs=np.broadcast_to(np.asarray(self._outputs), (M, M)) / images,
        )


def _forward(
    model: nn.Module, layers: Sequence[Layer], x: Tensor, sums: dict[str, _Sums]
) -> tuple[list[tuple[str, GradientEdge]], Any]:
    """Run ``x`` and add what the layers take to ``sums``; return the gradient edge of each call, and the output.

    Edges and sums are by the name of the layer that holds the weight.
    """
    edges: list[tuple[str, GradientEdge]] = []

    def note(name: str, module: nn.Module, x_in: Tensor, output: Tensor) -> None:
        sums.setdefault(name, _Sums()).add_input(Call.of(cast(Conv, module), x_in, output))
        edges.append((name, get_gradient_edge(output)))

    notes = [(layer.module, partial(note, layer.shares or layer.name)) for layer in layers]
    with torch.enable_grad(), observed(notes):
        output = run(model, x.detach().clone().requires_grad_(True))
    return edges, output
