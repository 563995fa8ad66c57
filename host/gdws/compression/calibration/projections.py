"""Random projections of a network's outputs, whose gradients weight errors.

A projection is a number for each image, linear in the outputs to first order, with independent random signs. Since
E[(sum_k r_k v_k)^2] = sum_k v_k^2 for such signs r, the expected square of its change is the sum of the squared changes
of its terms: one backward pass replaces one pass for each entry of the outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gdws._util.modes import evaluation_mode
from gdws._util.outputs import logits_in, run, tensors_in
from gdws.compression.calibration import margins
from gdws.errors import ModelError

#: ``(output, images, generator) -> scalar``: what a network gave for so many ``images``, to the sum over these of the
#: projection. Random signs come from the ``generator``, a CPU's.
Projection = Callable[[Any, int, torch.Generator], Tensor]

#: Differences of logits below this share of a sample's range count as that much. Adversarial inputs lie at the
#: decision boundary, where the weight 1/delta^2 of a few samples would outweigh all others.
TIE = 0.1

#: Number of images for estimating the scale of outputs.
SCALE_IMAGES = 64


def decision(output: Any, images: int, generator: torch.Generator) -> Tensor:
    """Of a classifier: the differences of logits that decide, scaled as in Equation 8.

    Raises :class:`~gdws.errors.ModelError` if ``output`` is not logits (N, classes) of two classes at least.
    """
    logits = logits_in(output, images, classes=2)
    return (logits * margins.random_sum(logits.detach().cpu(), TIE, generator).to(logits)).sum()


def squared_error(scales: Sequence[float]) -> Projection:
    """Of any network: the squared error of all outputs of floating point, each in units of its ``scales``.

    ``scales`` are in the order of the tensors in the output, e.g. from :func:`root_mean_squares`.
    """

    def project(output: Any, images: int, generator: torch.Generator) -> Tensor:
        terms = [
            (tensor * margins.signs(tensor.shape, generator).to(tensor)).sum() / scales[place]
            for place, tensor in _followed(output)
        ]
        return torch.stack(terms).sum()

    return project


def of_outputs(model: nn.Module, images: Tensor, *, batch_size: int = 16) -> Projection:
    """The projection of a network by the outputs that it gives for ``images`` (N, C, H, W).

    :func:`decision` if these are logits (N, classes), else :func:`squared_error` in units of each output's root mean
    square. Raises :class:`~gdws.errors.ModelError` if the network does not run.
    """
    with evaluation_mode(model), torch.no_grad():
        output = run(model, images[:1].to(next(model.parameters()).device))
    if isinstance(output, Tensor) and output.ndim == 2 and output.shape[1] > 1:
        return decision
    return squared_error(root_mean_squares(model, images, batch_size=batch_size))


@torch.no_grad()
def root_mean_squares(model: nn.Module, images: Tensor, *, batch_size: int = 16) -> list[float]:
    """The root mean square of each tensor in the output, 1 for one that is all zero.

    The first :data:`SCALE_IMAGES` of ``images`` (N, C, H, W) tell it well enough.
    """
    device = next(model.parameters()).device
    squares: list[float] = []
    counts: list[int] = []
    with evaluation_mode(model):
        for x in torch.split(images[:SCALE_IMAGES], batch_size):
            tensors = tensors_in(run(model, x.to(device)))
            squares = squares or [0.0] * len(tensors)
            counts = counts or [0] * len(tensors)
            for place, tensor in enumerate(tensors):
                squares[place] += float(tensor.double().square().sum())
                counts[place] += tensor.numel()
    means = [square / max(1, count) for square, count in zip(squares, counts, strict=True)]
    return [mean**0.5 if mean > 0 else 1.0 for mean in means]


def _followed(output: Any) -> list[tuple[int, Tensor]]:
    """The tensors in ``output`` that gradients can follow, with their places."""
    found = [(place, tensor) for place, tensor in enumerate(tensors_in(output)) if tensor.requires_grad]
    if not found:
        raise ModelError(
            "no gradient of the outputs reaches the layers",
            hint="convert by weights alone (--method weights), or return values before rounding or selection",
        )
    return found
