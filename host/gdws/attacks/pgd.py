"""Projected gradient descent in the l_inf ball (Madry et al., 2018, arXiv:1706.06083)."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (the customary name)

from gdws.attacks.spec import AttackSpec
from gdws.seeds import derive_seed


def pgd(
    model: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    spec: AttackSpec,
    *,
    indices: torch.Tensor | None = None,
) -> torch.Tensor:
    """Adversarial images that raise the cross-entropy of ``labels`` under ``model``.

    ``images``: (N, C, H, W) in [0, 1]; ``labels``: (N,) int64. Returns (N, C, H, W), each pixel in [0, 1]
    and within ``spec.eps`` of its original; a copy of ``images`` if ``spec.eps`` is 0.

    ``indices``: (N,), the images' positions in their data set, 0 to N-1 by default. The random start
    of an image depends on ``spec.seed``, its index and the restart alone, so the result does not depend
    on how images are grouped into batches. A restart runs only on images that no earlier one has fooled.

    The model runs in the mode it is in, and no gradient reaches its weights. In training mode its
    BN layers would follow the adversarial images: see :func:`gdws.modes.evaluation_mode`.
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
            start = _start(x, indices[remaining.to(indices.device)], restart, spec)
            candidates = _ascend(model, x, y, start, spec)
            adversarial[remaining] = candidates
            if restart + 1 < spec.restarts:
                with torch.no_grad():
                    remaining = remaining[model(candidates).argmax(dim=1) == y]
        return adversarial


def _start(images: torch.Tensor, indices: torch.Tensor, restart: int, spec: AttackSpec) -> torch.Tensor:
    """The first iterate: the images, or a uniform draw from their ball."""
    if not spec.random_start:
        return images
    generator = torch.Generator()
    noise = torch.empty(images.shape)
    for row, index in zip(noise, indices.tolist(), strict=True):
        generator.manual_seed(derive_seed(spec.seed, "start", restart, index))
        row.uniform_(-spec.eps, spec.eps, generator=generator)
    return (images + noise.to(images)).clamp(0, 1)


def _ascend(
    model: nn.Module, images: torch.Tensor, labels: torch.Tensor, start: torch.Tensor, spec: AttackSpec
) -> torch.Tensor:
    lowest = (images - spec.eps).clamp(min=0)
    highest = (images + spec.eps).clamp(max=1)
    x = start
    for _ in range(spec.iterations):
        x = torch.clamp(x + spec.step * _gradient(model, x, labels).sign(), lowest, highest)
    return x


def _gradient(model: nn.Module, x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The gradient of the summed cross-entropy with respect to ``x`` alone."""
    x = x.detach().requires_grad_(True)
    loss = F.cross_entropy(model(x), labels, reduction="sum")
    if not loss.requires_grad:  # a constant network with frozen weights
        return torch.zeros_like(x)
    (gradient,) = torch.autograd.grad(loss, x, allow_unused=True)
    return torch.zeros_like(x) if gradient is None else gradient
