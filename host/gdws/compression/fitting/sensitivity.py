"""The effect on the outputs of giving one layer fewer components while all others are unchanged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from gdws._util.progress import SILENT, Progress
from gdws.algorithms.spectrum import Ints
from gdws.compression.fitting.observe import Observation
from gdws.compression.fitting.walk import Walk
from gdws.compression.surgery import Layer
from gdws_contract.findings.text import plural

#: More hardly change the order of the layers.
IMAGES = 256
_SWEEPS = 5


def sensitivities(
    model: nn.Module,
    layers: Sequence[Layer],
    images: Tensor,
    seen: Mapping[str, Observation],
    candidates: Mapping[str, Sequence[Ints]],
    *,
    batch_size: int = 128,
    progress: Progress = SILENT,
) -> dict[str, list[float]]:
    """Return the change of the outputs for each candidate of each weight, by the name of the layer that has the weight.

    ``candidates`` has channel distribution vectors (C,). Each is fitted to the layer in ``model`` by a few sweeps, and
    the remaining error e of the output is weighted by the gradients of the logit differences: E[e^T H e] with H the
    ``outputs`` of ``seen``. That is the expected square of the first-order change of the scaled differences of
    Equation 8 if errors are independent between positions; it adds up over layers if their errors are independent too.

    ``layers`` are layers of ``model`` that run; the first :data:`IMAGES` of ``images`` (N, C, H, W) are used.
    """
    found: dict[str, list[float]] = {}
    used = [layer for layer in layers if (layer.shares or layer.name) in candidates]
    progress.start(len(candidates), f"effect of ranks in {plural(len(candidates), 'layer')}")
    with Walk(model, used, images[:IMAGES], batch_size=batch_size) as walk:
        for name in walk.calls:
            wanted = walk.problem(name, seen[name].outputs)
            found[name] = [wanted.fit(each.tolist(), _SWEEPS).change for each in candidates[name]]
            progress.advance(1, layer=name)
    return found
