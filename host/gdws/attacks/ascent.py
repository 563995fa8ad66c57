"""Losses of single images and their gradients, for attacks."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (the customary name)

#: Logits (N, classes) -> what the attack raises, (N,).
Objective = Callable[[Tensor], Tensor]


class Slope(NamedTuple):
    """Where an attack stands: ``logits`` (N, classes), ``losses`` (N,), and their ``gradient`` by the images."""

    logits: Tensor
    losses: Tensor
    gradient: Tensor


def slope(model: nn.Module, x: Tensor, objective: Objective) -> Slope:
    """The losses of the images ``x`` (N, C, H, W) and the gradient of each by its own image alone.

    No gradient reaches the weights. Where the losses do not depend on the images it is zero.
    """
    x = x.detach().requires_grad_(True)
    logits = model(x)
    losses = objective(logits)
    gradient = None
    if losses.requires_grad:  # not so for a constant network with frozen weights
        (gradient,) = torch.autograd.grad(losses.sum(), x, allow_unused=True)
    return Slope(logits.detach(), losses.detach(), torch.zeros_like(x) if gradient is None else gradient)


def cross_entropy(labels: Tensor) -> Objective:
    """The cross-entropy of each image."""
    return lambda logits: F.cross_entropy(logits, labels, reduction="none")


def targeted_margin(labels: Tensor, targets: Tensor) -> Objective:
    """How far ``targets`` (N,) are ahead of ``labels`` (N,), in units of the spread of the highest logits.

    The targeted difference of logits ratio (Croce and Hein, 2020, Equation 6). It needs four classes; of fewer it is
    the difference alone.
    """

    def ahead(logits: Tensor) -> Tensor:
        difference = (logits.gather(1, targets[:, None]) - logits.gather(1, labels[:, None]))[:, 0]
        if logits.shape[1] < 4:
            return difference
        highest = logits.topk(4, dim=1).values
        return difference / (highest[:, 0] - (highest[:, 2] + highest[:, 3]) / 2 + 1e-12)

    return ahead
