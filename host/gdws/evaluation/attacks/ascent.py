"""Losses of single images and their gradients, for attacks."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (the customary name)

#: Logits are normalised to this spread. On the networks of the tests, and on the shipped one, 10 found at least as many
#: adversarial images as the margin, and as many as the cross-entropy where that works; 3 and 30 found fewer.
_SPREAD = 10.0
#: A spread below this is that of equal logits.
_EQUAL = 1e-30

#: Logits (N, classes) -> the loss that the attack maximises, (N,).
Objective = Callable[[Tensor], Tensor]


class Slope(NamedTuple):
    """The state of an attack: ``logits`` (N, classes), ``losses`` (N,), and their ``gradient`` by the images."""

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


def scale_free_cross_entropy(labels: Tensor) -> Objective:
    """The cross-entropy of the logits at a fixed spread, which does not depend on their scale.

    Its gradient neither vanishes where large logits saturate the softmax, nor weights all classes equally where they
    are small. The spread, of the highest logit over their mean, is treated as a constant.
    """

    def loss(logits: Tensor) -> Tensor:
        centred = logits - logits.mean(dim=1, keepdim=True)
        spread = centred.detach().amax(dim=1, keepdim=True)
        spread = spread.masked_fill(spread < _EQUAL, 1.0)  # a quotient of such would have no finite gradient
        return F.cross_entropy(_SPREAD * (centred / spread), labels, reduction="none")

    return loss


def margin(labels: Tensor) -> Objective:
    """How far the likeliest other class is ahead of the right one (Carlini and Wagner, 2017, f_6); above 0 it wins.

    It needs two classes or more.
    """

    def ahead(logits: Tensor) -> Tensor:
        right = logits.gather(1, labels[:, None])[:, 0]
        return logits.scatter(1, labels[:, None], -torch.inf).amax(dim=1) - right

    return ahead


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
