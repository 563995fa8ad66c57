"""Which images a network classifies correctly, as they are and under an attack: one batch at a time."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from gdws.attacks import Spec
from gdws.attacks.run import perturb
from gdws.errors import DataError, ModelError
from gdws.layers import to_dense
from gdws.modes import evaluation_mode
from gdws.outputs import logits_of

#: Logits of a network and its dense equivalent may differ by this, relative to the largest.
_TOLERANCE = 1e-3
_COMPARED = 64


@dataclass(frozen=True)
class Outcome:
    """A batch judged: ``indices``, ``natural`` and ``robust`` are (N,); the latter two tell who was right.

    ``robust`` is None if no attack was run.
    """

    indices: torch.Tensor
    natural: torch.Tensor
    robust: torch.Tensor | None


def judge(
    model: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    attack: Spec | None,
    *,
    indices: torch.Tensor,
    attacked: nn.Module | None = None,
) -> Outcome:
    """Judge the images at ``indices`` (N,) of ``images`` and ``labels``.

    An image that is misclassified as it is counts as not robust and is not attacked. Adversarial images are made on
    ``attacked``, a network of the same function, or on ``model`` itself, and judged by ``model``.
    """
    device = device_of(model)
    x, y = images[indices].to(device), labels[indices].to(device)
    target = model if attacked is None else attacked
    with evaluation_mode(model), evaluation_mode(target):
        natural = predict(model, x, y) == y
        robust = None
        if attack is not None:
            robust = natural.clone()
            kept = natural.nonzero().flatten()
            if len(kept) > 0:
                adversarial = perturb(target, x[kept], y[kept], attack, indices=indices[kept.cpu()])
                robust[kept] = predict(model, adversarial, y[kept]) == y[kept]
    return Outcome(indices, natural.cpu(), None if robust is None else robust.cpu())


@torch.no_grad()
def predict(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The predicted classes (N,), once the logits are known to be finite and to cover the labels."""
    logits = logits_of(model, images)
    if int(labels.max()) >= logits.shape[1] or int(labels.min()) < 0:
        raise DataError(
            f"labels run from {int(labels.min())} to {int(labels.max())}, the network has {logits.shape[1]} classes"
        )
    return logits.argmax(dim=1)


@torch.no_grad()
def dense_equivalent(model: nn.Module, images: torch.Tensor) -> nn.Module:
    """A copy of ``model`` with each low-rank product written back into a dense convolution: the same function.

    Its gradients are the same up to rounding and take a fraction of the time. That it is the same is checked on the
    first of ``images`` (N, C, H, W); raises :class:`~gdws.errors.ModelError` where it is not.
    """
    dense = to_dense(model)
    few = images[:_COMPARED].to(device_of(model))
    with evaluation_mode(model), evaluation_mode(dense):
        expected, found = (logits_of(network, few) for network in (model, dense))
    difference = float((expected - found).abs().max() / expected.abs().max().clamp(min=1e-12))
    if not difference <= _TOLERANCE:  # holds for NaN as well
        raise ModelError(
            f"the dense equivalent computes something else: its logits differ by {difference:.1%}",
            hint="attack the network itself",
        )
    return dense


def device_of(model: nn.Module) -> torch.device:
    """Where the weights are."""
    parameter = next(model.parameters(), None)
    return torch.device("cpu") if parameter is None else parameter.device
