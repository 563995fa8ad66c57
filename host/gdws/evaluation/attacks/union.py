"""Several attacks on the same images, each on those that resisted the ones before (Maini et al., arXiv:1909.04068)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from gdws.evaluation.attacks.spec import AttackSpec, UnionSpec

Run = Callable[[nn.Module, Tensor, Tensor, AttackSpec, Tensor], Tensor]


def union(model: nn.Module, images: Tensor, labels: Tensor, spec: UnionSpec, indices: Tensor, run: Run) -> Tensor:
    """Adversarial images (N, C, H, W); an image that resists every part is as the last part left it."""
    adversarial = images.detach().clone()
    remaining = torch.arange(len(images), device=images.device)
    for part in spec.parts:
        if len(remaining) == 0:
            break
        y = labels[remaining]
        candidates = run(model, images[remaining], y, part, indices[remaining.to(indices.device)])
        adversarial[remaining] = candidates
        with torch.no_grad():
            remaining = remaining[model(candidates).argmax(dim=1) == y]
    return adversarial
