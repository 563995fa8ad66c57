"""Attacks that still work when the cross-entropy has no gradient: with a scale-free loss, and by queries.

They run on images that resist the requested attack, in the same balls; their cost is bounded by :data:`ITERATIONS`
steps for each of these images, and :data:`QUERIES` forward passes for each of a sample.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gdws._util.modes import evaluation_mode
from gdws._util.seeds import derive_seed
from gdws.evaluation.attacks.ascent import cross_entropy, scale_free_cross_entropy, slope
from gdws.evaluation.attacks.logits import Logits
from gdws.evaluation.attacks.pgd import pgd
from gdws.evaluation.attacks.spec import AttackSpec, Spec, UnionSpec
from gdws.evaluation.attacks.square import NORMS, square
from gdws.evaluation.attacks.union import union

#: Steps with the scale-free loss. Eight times as many found one more image of 256 on the tests' networks.
ITERATIONS = 5
#: Total length of the steps in units of the radius, as is common.
_REACH = 2.5
#: Queries of Square Attack: enough to detect that the gradients mislead, not to find every adversarial image.
QUERIES = 200
#: Gradients below this underflow in float32 on the way to the image, or nearly so.
_VANISHING = 1e-12


def by_scale_free_loss(model: nn.Module, images: Tensor, labels: Tensor, spec: Spec, indices: Tensor) -> Tensor:
    """Adversarial images (N, C, H, W) of a short PGD, straight through rounding, in the balls of ``spec``."""
    parts = [_short(part) for part in _parts(spec)]
    with evaluation_mode(Logits(model, straight_through=True)) as target:
        if len(parts) == 1:
            return _ascend(target, images, labels, parts[0], indices)
        return union(target, images, labels, UnionSpec(tuple(parts)), indices, _ascend)


def by_queries(model: nn.Module, images: Tensor, labels: Tensor, spec: Spec, indices: Tensor) -> Tensor:
    """Adversarial images (N, C, H, W) of Square Attack in the balls of ``spec`` that it is made for."""
    found = images.clone()
    remaining = torch.arange(len(images), device=images.device)
    with evaluation_mode(Logits(model)) as target:
        for part in _askable(spec):
            if len(remaining) == 0:
                break
            x, y = images[remaining], labels[remaining]
            found[remaining] = square(
                target,
                x,
                y,
                norm=part.norm,
                eps=part.eps,
                queries=QUERIES,
                seed=derive_seed(part.seed, "square", part.norm),
                indices=indices[remaining.to(indices.device)],
            )
            with torch.no_grad():
                remaining = remaining[target(found[remaining]).argmax(dim=1) == y]
    return found


def can_ask(spec: Spec) -> bool:
    """Whether :func:`by_queries` supports a norm of ``spec``; not if it is only l_1."""
    return bool(_askable(spec))


def vanishing(model: nn.Module, images: Tensor, labels: Tensor, *, scale_free: bool = False) -> Tensor:
    """At which images (N,) the gradient of the cross-entropy vanishes or is not finite; or of that free of scale."""
    objective = scale_free_cross_entropy(labels) if scale_free else cross_entropy(labels)
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        evaluation_mode(Logits(model, straight_through=scale_free)) as target,
    ):
        gradient = slope(target, images.clone(), objective).gradient
    steepest = gradient.flatten(1).abs().amax(dim=1)  # NaN where any pixel's is
    return ~(steepest.isfinite() & (steepest >= _VANISHING))


def _ascend(model: nn.Module, images: Tensor, labels: Tensor, spec: AttackSpec, indices: Tensor) -> Tensor:
    return pgd(model, images, labels, spec, indices=indices, objective=scale_free_cross_entropy)


def _short(spec: AttackSpec) -> AttackSpec:
    """A short PGD in the ball of ``spec``, with draws of its own."""
    return AttackSpec(
        norm=spec.norm,
        eps=spec.eps,
        step=_REACH * spec.eps / ITERATIONS if spec.eps else 1.0,
        iterations=ITERATIONS,
        seed=derive_seed(spec.seed, "second opinion"),
    )


def _parts(spec: Spec) -> tuple[AttackSpec, ...]:
    return spec.parts if isinstance(spec, UnionSpec) else (spec,)


def _askable(spec: Spec) -> list[AttackSpec]:
    return [part for part in _parts(spec) if part.norm in NORMS and part.eps > 0]
