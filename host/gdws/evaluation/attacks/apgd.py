"""Projected gradient ascent that sets its own step size: APGD (Croce and Hein, 2020, arXiv:2003.01690, Algorithm 1).

The step starts at twice the radius. At checkpoints, which come closer and closer, it is halved for the images that made
no progress, and these go back to their best point. An image counts as fooled if any iterate fools the network.

The attack runs on the cross-entropy first, then towards each of the likeliest other classes on the margin (APGD-CE and
APGD-T of AutoAttack), each on the images that are still classified correctly.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from gdws._util.seeds import derive_seed
from gdws.evaluation.attacks import balls
from gdws.evaluation.attacks.ascent import Objective, Slope, cross_entropy, slope, targeted_margin
from gdws.evaluation.attacks.spec import AttackSpec

#: APGD-T goes towards so many classes.
TARGETS = 9

#: The share of a step that the last one carries over, and the share of steps that must make progress.
_MOMENTUM = 0.25
_PROGRESS = 0.75

#: (logits of the images as they are, labels) -> what to raise, for the images where both are.
MakeObjective = Callable[[Tensor, Tensor], Objective]


def apgd(
    model: nn.Module, images: Tensor, labels: Tensor, spec: AttackSpec, *, indices: Tensor | None = None
) -> Tensor:
    """Adversarial images of APGD-CE, then of APGD-T for those that resist; see :func:`gdws.evaluation.attacks.pgd.pgd`.

    Images that no run has fooled are returned as they were. Draws depend on the image's index, the seed and the run.
    """
    with torch.inference_mode(False), torch.enable_grad():
        images = images.detach()
        adversarial = images.clone()
        if spec.eps == 0:
            return adversarial
        if indices is None:
            indices = torch.arange(len(images))
        with torch.no_grad():
            logits = model(images)
        remaining = (logits.argmax(dim=1) == labels).nonzero().flatten()
        for number, make in enumerate(_objectives(logits.shape[1], spec.restarts)):
            if len(remaining) == 0:
                break
            x, y = images[remaining], labels[remaining]
            run = dataclasses.replace(spec, seed=derive_seed(spec.seed, "apgd", number))
            found, fooled = _climb(model, x, y, make, logits[remaining], run, indices[remaining.to(indices.device)])
            adversarial[remaining[fooled]] = found[fooled]
            remaining = remaining[~fooled]
        return adversarial


def checkpoints(iterations: int) -> list[int]:
    """The steps after which the step size is reviewed: 22 % of all, then in shares that shrink by 3 %, at least 6 %."""
    gap = max(int(0.22 * iterations), 1)
    least, shrink = max(int(0.06 * iterations), 1), max(int(0.03 * iterations), 1)
    steps, step = [], 0
    while (step := step + gap) <= iterations:
        steps.append(step)
        gap = max(gap - shrink, least)
    return steps


def _objectives(classes: int, restarts: int) -> Iterator[MakeObjective]:
    """What to raise, run by run: the cross-entropy, then the margin of each of the likeliest other classes."""

    def untargeted(logits: Tensor, labels: Tensor) -> Objective:
        return cross_entropy(labels)

    def towards(place: int, logits: Tensor, labels: Tensor) -> Objective:
        return targeted_margin(labels, _likeliest(logits, labels)[:, place])

    targeted: list[MakeObjective] = [partial(towards, place) for place in range(min(TARGETS, classes - 1))]
    for make in [untargeted, *targeted]:
        yield from [make] * restarts


def _likeliest(logits: Tensor, labels: Tensor) -> Tensor:
    """The other classes by descending logit, (N, classes - 1)."""
    return logits.scatter(1, labels[:, None], -torch.inf).argsort(dim=1, descending=True)[:, :-1]


@dataclass(frozen=True, eq=False)
class _State:
    """Where each image that still resists stands; all have N rows.

    ``x`` and ``previous`` are the last two iterates and ``gradient`` that at ``x``. ``best`` is the point of the
    highest loss, with its gradient and loss. ``rises`` counts the steps of this window that raised the loss.
    ``loss_at_review`` is the best loss at the last checkpoint, and ``halved`` whether the step was halved there.
    """

    rows: Tensor
    images: Tensor
    labels: Tensor
    logits: Tensor
    x: Tensor
    previous: Tensor
    gradient: Tensor
    losses: Tensor
    best: Tensor
    best_gradient: Tensor
    best_loss: Tensor
    step: Tensor
    rises: Tensor
    loss_at_review: Tensor
    halved: Tensor

    def only(self, kept: Tensor) -> _State:
        """The images where ``kept`` (N,) holds."""
        fields = {field.name: getattr(self, field.name)[kept] for field in dataclasses.fields(self)}
        return _State(**fields)


def _climb(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    make: MakeObjective,
    logits: Tensor,
    spec: AttackSpec,
    indices: Tensor,
) -> tuple[Tensor, Tensor]:
    """One run: the images (N, C, H, W) at the first point that fools the network, and whether there was one, (N,)."""
    found, fooled = images.clone(), torch.zeros(len(images), dtype=torch.bool, device=images.device)
    x = balls.starts(images, indices, 0, eps=spec.eps, norm=spec.norm, seed=spec.seed) if spec.random_start else images
    here = slope(model, x, make(logits, labels))
    state = _State(
        rows=torch.arange(len(images), device=images.device),
        images=images,
        labels=labels,
        logits=logits,
        x=x,
        previous=x,
        gradient=here.gradient,
        losses=here.losses,
        best=x,
        best_gradient=here.gradient,
        best_loss=here.losses,
        step=here.losses.new_full((len(images),), 2 * spec.eps),
        rises=torch.zeros_like(fooled, dtype=torch.int64),
        loss_at_review=here.losses,
        halved=torch.zeros_like(fooled),
    )
    reviews, since = set(checkpoints(spec.iterations)), 0
    for iteration in range(spec.iterations + 1):
        escaped = here.logits.argmax(dim=1) != state.labels
        found[state.rows[escaped]] = state.x[escaped]
        fooled[state.rows[escaped]] = True
        state = state.only(~escaped)
        if iteration == spec.iterations or len(state.rows) == 0:
            break
        if iteration in reviews:
            state, since = _review(state, iteration - since), iteration
        x = _next(state, spec, momentum=_MOMENTUM if iteration > 0 else 0.0)
        here = slope(model, x, make(state.logits, state.labels))
        state = _moved(state, x, here)
    return found, fooled


def _next(state: _State, spec: AttackSpec, *, momentum: float) -> Tensor:
    """The next iterates, (N, C, H, W)."""
    step = balls.expanded(state.step, state.x.shape) * balls.steepest(state.gradient, spec.norm)
    ahead = balls.project(state.x + step, state.images, spec.eps, spec.norm)
    carried = (1 - momentum) * (ahead - state.x) + momentum * (state.x - state.previous)
    return balls.project(state.x + carried, state.images, spec.eps, spec.norm)


def _moved(state: _State, x: Tensor, here: Slope) -> _State:
    """The state at the new iterates ``x``."""
    better = here.losses > state.best_loss
    wide = balls.expanded(better, x.shape)
    return dataclasses.replace(
        state,
        x=x,
        previous=state.x,
        gradient=here.gradient,
        losses=here.losses,
        best=torch.where(wide, x, state.best),
        best_gradient=torch.where(wide, here.gradient, state.best_gradient),
        best_loss=torch.where(better, here.losses, state.best_loss),
        rises=state.rises + (here.losses > state.losses),
    )


def _review(state: _State, steps: int) -> _State:
    """The state after a checkpoint, ``steps`` after the last one."""
    oscillates = state.rises < _PROGRESS * steps
    stands = ~state.halved & (state.best_loss <= state.loss_at_review)
    halved = oscillates | stands
    back = balls.expanded(halved, state.x.shape)
    return dataclasses.replace(
        state,
        x=torch.where(back, state.best, state.x),
        gradient=torch.where(back, state.best_gradient, state.gradient),
        losses=torch.where(halved, state.best_loss, state.losses),
        step=torch.where(halved, state.step / 2, state.step),
        rises=torch.zeros_like(state.rises),
        loss_at_review=state.best_loss,
        halved=halved,
    )
