"""Runs the attack of a specification."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gdws.evaluation.attacks.apgd import apgd
from gdws.evaluation.attacks.autoattack import autoattack
from gdws.evaluation.attacks.pgd import pgd
from gdws.evaluation.attacks.spec import AttackSpec, Spec, UnionSpec
from gdws.evaluation.attacks.union import union

_ATTACKS = {"pgd": pgd, "apgd": apgd, "autoattack": autoattack}


def perturb(model: nn.Module, images: Tensor, labels: Tensor, spec: Spec, *, indices: Tensor | None = None) -> Tensor:
    """Adversarial images (N, C, H, W), white-box on ``model``, within the ball of ``spec`` and in [0, 1].

    ``images``: (N, C, H, W) in [0, 1]; ``labels``: (N,) int64; ``indices``: (N,), the images' positions in their data
    set, 0 to N-1 by default, on which their random draws depend. A copy of ``images`` where the budget is 0. The model
    runs in the mode it is in, and no gradient reaches its weights.
    """
    if indices is None:
        indices = torch.arange(len(images))
    if isinstance(spec, UnionSpec):
        return union(model, images, labels, spec, indices, _single)
    return _single(model, images, labels, spec, indices)


def _single(model: nn.Module, images: Tensor, labels: Tensor, spec: AttackSpec, indices: Tensor) -> Tensor:
    return _ATTACKS[spec.name](model, images, labels, spec, indices=indices)
