"""Second moments of each layer's patches for networks without gradients to weight its output errors."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from gdws._util.calls import observed
from gdws._util.modes import evaluation_mode
from gdws._util.outputs import run
from gdws.algorithms.spectrum import Floats
from gdws.compression.calibration.gradient_norms import Call
from gdws.compression.fitting.observe import Observation
from gdws.compression.fitting.patch_moments import channel_moments
from gdws.compression.layers import Conv
from gdws.compression.surgery import Layer


def observe_energies(
    model: nn.Module, layers: Sequence[Layer], images: Tensor, *, batch_size: int = 16
) -> dict[str, Observation]:
    """Return the observation of each weight of ``layers``, with output errors weighted by the energy of its outputs.

    ``outputs`` is the identity divided by the variance of the layer's outputs, summed over channels:
    E[e^T ``outputs`` e] is the energy of an error e relative to that variance. It ignores the effect on the network's
    outputs, so it is only a substitute for :func:`gdws.compression.fitting.observe` if there are no gradients.
    ``images`` (N, ...) are run in evaluation mode.
    """
    sums: dict[str, _Sums] = {}

    def note(name: str, module: nn.Module, x: Tensor, output: Tensor) -> None:
        sums.setdefault(name, _Sums()).add(Call.of(cast(Conv, module), x, output), output)

    notes = [(layer.module, partial(note, layer.shares or layer.name)) for layer in layers]
    device = next(model.parameters()).device
    with evaluation_mode(model), torch.no_grad(), observed(notes):
        for batch in torch.split(images, batch_size):
            run(model, batch.to(device))
    return {name: each.observation() for name, each in sums.items()}


class _Sums:
    """Sums over the calls of one weight."""

    def __init__(self) -> None:
        self._inputs: Floats | float = 0.0
        self._outputs: Floats | float = 0.0
        self._squares = 0.0
        self._positions = 0

    def add(self, call: Call, output: Tensor) -> None:
        """Take in a call and its output (B, M, H', W')."""
        rows = output.transpose(0, 1).flatten(1).double()
        self._inputs = self._inputs + channel_moments(call).cpu().numpy()
        self._outputs = self._outputs + rows.sum(1).cpu().numpy()
        self._squares += float(rows.square().sum())
        self._positions += rows.shape[1]

    def observation(self) -> Observation:
        """The mean over patches, and the weight of errors; none where the outputs do not vary."""
        mean = np.asarray(self._outputs) / self._positions
        variance = self._squares / self._positions - float(mean @ mean)
        return Observation(
            inputs=np.asarray(self._inputs) / self._positions,
            outputs=np.eye(len(mean)) / variance if variance > 0 else np.zeros((len(mean), len(mean))),
        )
