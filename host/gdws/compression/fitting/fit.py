"""Fits factors layer by layer, each to the outputs of that layer in the original network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from gdws._util.progress import SILENT, Progress
from gdws.algorithms.spectrum import Factors
from gdws.compression.fitting.observe import Observation
from gdws.compression.fitting.patches import check_images
from gdws.compression.fitting.running import replace_weight, with_biases
from gdws.compression.fitting.walk import Walk
from gdws.compression.surgery import Layer
from gdws_contract.plan import Plan


@dataclass(frozen=True, eq=False)
class Fitted:
    """``model`` is a copy of the network whose convolutions to convert have the optimal biases for ``factors``.

    ``factors`` are by the name of the layer that has the weight. ``errors``, by the same names, are the unexplained
    fractions of the variance of the layer's output, including errors of earlier layers.
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
    memory_bytes: int | None = None,
    progress: Progress = SILENT,
) -> Fitted:
    """Fit ``layers``, which ``plan`` converts, in the order in which they run.

    Each layer is fitted to its output in ``model``, given its input in the network as converted so far, so that it
    compensates errors of earlier layers. ``layers`` are layers of ``model`` that run; they are fitted on ``images``
    (N, C, H, W), and ``seen`` has the results of :func:`gdws.compression.fitting.observe`. ``sweeps`` is the maximum
    number of alternating refits of filters and pointwise weights after the first fit.

    Each image runs through both networks once, see :mod:`gdws.compression.fitting.passes`; paused passes take at most
    ``memory_bytes``, by default a quarter of the memory. Raises :class:`~gdws.errors.DataError` if there are too few
    images, before any is run.
    """
    check_images(plan, layers, len(images))
    running = with_biases(model, layers)
    factors: dict[str, Factors] = {}
    errors: dict[str, float] = {}
    planned = {layer.name: layer for layer in plan.layers if layer.converted}
    walk = Walk(model, layers, images, running, batch_size=batch_size, memory_bytes=memory_bytes)
    progress.start(len(walk.calls), f"fit {len(walk.calls)} layers to {len(images)} images")
    with walk:
        for name, calls in walk.calls.items():
            layer = planned[name]
            wanted = walk.problem(name, seen[name].outputs)
            found = wanted.fit(layer.ranks or (), sweeps)
            factors[name], errors[name] = found.factors, found.error
            replace_weight(running, list(dict.fromkeys(calls)), found.factors, found.bias)
            progress.advance(1, layer=name, error=f"{errors[name]:.2%}")
    return Fitted(running, factors, errors)
