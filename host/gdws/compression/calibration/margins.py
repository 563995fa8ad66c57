"""Differences of logits that decide, and gradients of them.

n is the predicted class of a sample, and delta_j = z_n - z_j how far class j is behind. Weighted by
1 / (sqrt(2) |delta_j|), the squares of their gradients are the terms of Equation 8.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def scales(logits: Tensor, tie: float) -> tuple[Tensor, int]:
    """The factors 1 / (sqrt(2) |delta_j|), (B, classes - 1), and how many samples were guarded against ties.

    A difference below ``tie`` times the range of the sample's logits (B, classes) is raised to that. A sample whose
    logits are all equal has factors of 0.
    """
    predicted = logits.argmax(dim=1, keepdim=True)
    delta = logits.gather(1, predicted) - logits.gather(1, _others(predicted, logits.shape[1]))
    spread = delta.amax(dim=1, keepdim=True)
    guarded = (delta < tie * spread).any(dim=1) | (spread[:, 0] == 0)
    factors = 1 / (math.sqrt(2) * torch.maximum(delta, tie * spread))
    return factors.where(spread > 0, torch.zeros_like(factors)), int(guarded.sum())


def difference(logits: Tensor, other: int, scale: Tensor) -> Tensor:
    """The cotangent (B, classes) of z_j - z_n times ``scale`` (B,), j being the ``other``-th class but n."""
    predicted = logits.argmax(dim=1, keepdim=True)
    j = _others(predicted, logits.shape[1])[:, other : other + 1]
    return torch.zeros_like(logits).scatter_(1, j, scale[:, None]).scatter_(1, predicted, -scale[:, None])


def random_sum(logits: Tensor, tie: float, generator: torch.Generator) -> Tensor:
    """The cotangent (B, classes) of a sum of all scaled differences with random signs.

    As the signs are independent, the expected square of whatever is linear in it is the sum of the squares over the
    classes: one backward pass in place of one for each class.
    """
    factors, _ = scales(logits, tie)
    return signed_sum(logits, factors * signs(factors.shape, generator).to(factors))


def signed_sum(logits: Tensor, signed: Tensor) -> Tensor:
    """The cotangent (B, classes) of the sum over j != n of ``signed`` (B, classes - 1) times z_j - z_n."""
    predicted = logits.argmax(dim=1, keepdim=True)
    cotangent = torch.zeros_like(logits).scatter_(1, _others(predicted, logits.shape[1]), signed)
    return cotangent.scatter_(1, predicted, -signed.sum(dim=1, keepdim=True))


def signs(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """Independent signs, -1 or 1 with equal probability, of that shape, as int64 on the CPU."""
    return torch.randint(0, 2, tuple(shape), generator=generator) * 2 - 1


def _others(predicted: Tensor, classes: int) -> Tensor:
    """The classes (B, classes - 1) other than ``predicted`` (B, 1), ascending."""
    others = torch.arange(classes - 1, device=predicted.device)
    return others + (others >= predicted).long()
