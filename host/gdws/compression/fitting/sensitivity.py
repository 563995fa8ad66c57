"""What it would cost the outputs to give one layer fewer components, all others being as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from gdws._util.progress import SILENT, Progress
from gdws.algorithms.spectrum import Ints
from gdws.compression.fitting.observe import Observation
from gdws.compression.fitting.walk import Walk
from gdws.compression.surgery import Layer

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
    """Return for each candidate of each weight how far it would move what matters, by the name of the weight's holder.

    ``candidates`` has channel distribution vectors (C,). Each is fitted to the layer as it is in ``model``, by a few
    sweeps, and the error e of the output that remains is weighed by the gradients of the logit differences that decide:
    E[e^T H e] with H the ``outputs`` of ``seen``. That is the expected square of the first-order change of the scaled
    differences of Equation 8, for errors that are independent from position to position; it adds up over layers as
    far as their errors are independent too.

    ``layers`` are layers of ``model`` that run; the first :data:`IMAGES` of ``images`` (N, C, H, W) are looked at.
    """
    found: dict[str, list[float]] = {}
    used = [layer for layer in layers if (layer.shares or layer.name) in candidates]
    progress.start(len(candidates), f"what ranks cost in {len(candidates)} layers")
    with Walk(model, used, images[:IMAGES], batch_size=batch_size) as walk:
        for name in walk.calls:
            wanted = walk.problem(name, seen[name].outputs)
            found[name] = [wanted.fit(each.tolist(), _SWEEPS).change for each in candidates[name]]
            progress.advance(1, layer=name)
    return found
