"""Projected gradient ascent within a ball (Madry et al., 2018, arXiv:1706.06083).

A step goes along the steepest direction of the norm: the sign of the gradient for l_inf, the gradient at length
``step`` for l_2. The l_1 step is that of Maini et al. (2020, arXiv:1909.04068): see :func:`_sparse_step`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from gdws._util.seeds import derive_seed
from gdws.evaluation.attacks import balls
from gdws.evaluation.attacks.ascent import Objective, cross_entropy, slope
from gdws.evaluation.attacks.spec import AttackSpec

#: An l_1 step moves so many pixels, drawn anew for each image and step.
_PIXELS = (5, 20)
#: A pixel so near the end of the range that it would move towards is left out of an l_1 step.
_GAP = 0.05


def pgd(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    spec: AttackSpec,
    *,
    indices: Tensor | None = None,
    objective: Callable[[Tensor], Objective] = cross_entropy,
) -> Tensor:
    """Adversarial images that raise the cross-entropy of ``labels`` under ``model``, or another ``objective`` of them.

    ``images``: (N, C, H, W) in [0, 1]; ``labels``: (N,) int64. Returns (N, C, H, W), each pixel in [0, 1]
    and the image within ``spec.eps`` of its original in ``spec.norm``; a copy of ``images`` if ``spec.eps`` is 0.

    ``indices``: (N,), the images' positions in their data set, 0 to N-1 by default. The draws of an image depend on
    ``spec.seed``, its index and the restart alone, so the result does not depend on how images are grouped into
    batches. A restart runs only on images that no earlier one has fooled.

    The model runs in the mode it is in, and no gradient reaches its weights. In training mode its
    BN layers would follow the adversarial images: see :func:`gdws._util.modes.evaluation_mode`.
    """
    with torch.inference_mode(False), torch.enable_grad():
        adversarial = images.detach().clone()
        if spec.eps == 0:
            return adversarial
        if indices is None:
            indices = torch.arange(len(images))
        remaining = torch.arange(len(images), device=images.device)
        for restart in range(spec.restarts):
            if len(remaining) == 0:
                break
            x, y = images.detach()[remaining].clone(), labels[remaining].clone()
            candidates = _ascend(model, x, objective(y), indices[remaining.to(indices.device)], restart, spec)
            adversarial[remaining] = candidates
            if restart + 1 < spec.restarts:
                with torch.no_grad():
                    remaining = remaining[model(candidates).argmax(dim=1) == y]
        return adversarial


def _ascend(
    model: nn.Module, images: Tensor, objective: Objective, indices: Tensor, restart: int, spec: AttackSpec
) -> Tensor:
    """One run of the attack, (N, C, H, W)."""
    assert spec.step is not None  # the specification sees to it
    x = images
    if spec.random_start or restart > 0:
        x = balls.starts(images, indices, restart, eps=spec.eps, norm=spec.norm, seed=spec.seed)
    pixels = _pixel_counts(indices, restart, spec).to(images.device) if spec.norm == "l1" else None
    for iteration in range(spec.iterations):
        gradient = slope(model, x, objective).gradient
        if pixels is None:
            step = balls.steepest(gradient, spec.norm)
        else:
            step = _sparse_step(gradient, x, pixels[:, iteration])
        x = balls.project(x + spec.step * step, images, spec.eps, spec.norm)
    return x


def _pixel_counts(indices: Tensor, restart: int, spec: AttackSpec) -> Tensor:
    """How many pixels each l_1 step of each image moves, (N, iterations)."""
    generator, rows = torch.Generator(), []
    for index in indices.tolist():
        generator.manual_seed(derive_seed(spec.seed, "pixels", restart, index))
        rows.append(torch.randint(_PIXELS[0], _PIXELS[1] + 1, (spec.iterations,), generator=generator))
    return torch.stack(rows)


def _sparse_step(gradient: Tensor, x: Tensor, pixels: Tensor) -> Tensor:
    """A step of length 1 in l_1: the ``pixels`` (N,) of largest gradient, each by the same amount along its sign.

    Left out are those at either end of the range, or within the gap of the end that they would move towards.
    """
    at_end = (x <= 0) | (x >= 1)
    no_way = ((gradient > 0) & (x >= 1 - _GAP)) | ((gradient < 0) & (x <= _GAP))
    usable = balls.finite(gradient).masked_fill(at_end | no_way, 0).flatten(1)
    most = min(_PIXELS[1], usable.shape[1])
    places = usable.abs().topk(most, dim=1).indices
    moved = torch.arange(most, device=x.device) < pixels[:, None]
    signs = usable.gather(1, places).sign() / pixels[:, None].to(usable)
    return torch.zeros_like(usable).scatter_(1, places, signs * moved).view_as(x)
