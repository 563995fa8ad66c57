"""Judges one batch: which images a network classifies correctly, without and under an attack."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gdws._util.modes import evaluation_mode
from gdws._util.outputs import logits_of
from gdws.compression.layers import to_dense
from gdws.datasets import Images
from gdws.errors import DataError, ModelError
from gdws.evaluation.attacks import Spec
from gdws.evaluation.attacks.logits import Logits, are_probabilities
from gdws.evaluation.attacks.run import perturb
from gdws.evaluation.attacks.second_opinion import by_queries, by_scale_free_loss, vanishing

#: Largest difference between the logits of a network and its dense equivalent, relative to the largest logit.
_TOLERANCE = 1e-3
_COMPARED = 64

#: (network, images, labels, attack, indices) -> adversarial images.
Run = Callable[[nn.Module, Tensor, Tensor, Spec, Tensor], Tensor]


@dataclass(frozen=True)
class Outputs:
    """Properties of a network's outputs: the number of ``classes``, whether ``probabilities``, whether ``random``.

    ``answered`` are the classes that it predicts for unperturbed images, ascending.
    """

    classes: int
    probabilities: bool
    random: bool
    answered: tuple[int, ...] = ()

    def __add__(self, other: Outputs) -> Outputs:
        """The properties over two batches."""
        answered = tuple(sorted({*self.answered, *other.answered}))
        return Outputs(self.classes, self.probabilities and other.probabilities, self.random or other.random, answered)


@dataclass(frozen=True)
class Outcome:
    """A judged batch: ``indices``, ``natural`` and ``robust`` are (N,); the latter two say which images are correct.

    ``robust`` is None if no attack was run. With a second opinion, ``alone`` marks images that resist the attack
    itself, ``vanishing`` those of them at which the gradient of the cross-entropy vanishes, and ``blind`` images that
    resist both losses without any gradient; all (N,), otherwise None.
    """

    indices: Tensor
    natural: Tensor
    robust: Tensor | None
    outputs: Outputs
    alone: Tensor | None = None
    vanishing: Tensor | None = None
    blind: Tensor | None = None


@dataclass(frozen=True)
class Queried:
    """A batch under Square Attack: ``indices`` and ``robust`` are (N,); the latter marks images that resist."""

    indices: Tensor
    robust: Tensor


def judge(
    model: nn.Module,
    images: Images,
    labels: Tensor,
    attack: Spec | None,
    *,
    indices: Tensor,
    attacked: nn.Module | None = None,
    second_opinion: bool = False,
) -> Outcome:
    """Judge the images at ``indices`` (N,) of ``images`` and ``labels``.

    A misclassified image counts as not robust and is not attacked. Adversarial images are made on ``attacked``, an
    equivalent network, or on ``model`` itself, and judged by ``model``. With ``second_opinion``, images that resist the
    attack are attacked with another loss, see :mod:`gdws.evaluation.attacks.second_opinion`, and are robust only if
    they resist that too.
    """
    device = device_of(model)
    x, y = images[indices].to(device), labels[indices].to(device)
    target = model if attacked is None else attacked
    with evaluation_mode(model), evaluation_mode(target):
        logits = checked_logits(model, x, y)
        predicted = logits.argmax(dim=1)
        natural = predicted == y
        outputs = Outputs(
            classes=logits.shape[1],
            probabilities=bool(are_probabilities(logits).all()),
            random=second_opinion and _differ(logits, checked_logits(model, x, y)),
            answered=tuple(sorted(set(predicted.tolist()))),
        )
        if attack is None:
            return Outcome(indices, natural.cpu(), None, outputs)
        alone = _resisting(model, _as_asked, target, x, y, attack, indices, natural)
        if not second_opinion:
            return Outcome(indices, natural.cpu(), alone.cpu(), outputs)
        robust = _resisting(model, by_scale_free_loss, target, x, y, attack, indices, alone)
        lost = _vanishing(target, x, y, alone)
        blind = _vanishing(target, x, y, robust & lost, scale_free=True)
    return Outcome(indices, natural.cpu(), robust.cpu(), outputs, alone.cpu(), lost.cpu(), blind.cpu())


def ask(
    model: nn.Module,
    images: Images,
    labels: Tensor,
    attack: Spec,
    *,
    indices: Tensor,
    attacked: nn.Module | None = None,
) -> Queried:
    """Run Square Attack in the balls of ``attack`` on the images at ``indices`` (N,), all classified correctly.

    ``attacked`` is as for :func:`judge`.
    """
    device = device_of(model)
    x, y = images[indices].to(device), labels[indices].to(device)
    target = model if attacked is None else attacked
    with evaluation_mode(model), evaluation_mode(target):
        everyone = torch.ones(len(indices), dtype=torch.bool, device=device)
        return Queried(indices, _resisting(model, by_queries, target, x, y, attack, indices, everyone).cpu())


def strongest(model: nn.Module, images: Tensor, labels: Tensor, attack: Spec, *, indices: Tensor) -> Tensor:
    """Adversarial images (N, C, H, W) by ``attack``, or by another loss for images at which it fails on ``model``."""
    with evaluation_mode(model):
        found = _as_asked(model, images, labels, attack, indices)
        kept = (predict(model, found, labels) == labels).nonzero().flatten()
        if len(kept) > 0:
            again = by_scale_free_loss(model, images[kept], labels[kept], attack, indices[kept.to(indices.device)])
            fooled = predict(model, again, labels[kept]) != labels[kept]
            found[kept[fooled]] = again[fooled]
    return found


def _differ(once: Tensor, again: Tensor) -> bool:
    """Whether outputs differ by more than rounding, which may differ from run to run on a GPU."""
    return bool(((once - again).abs() > _TOLERANCE * once.abs().max()).any())


def _as_asked(model: nn.Module, images: Tensor, labels: Tensor, attack: Spec, indices: Tensor) -> Tensor:
    with evaluation_mode(Logits(model)) as target:
        return perturb(target, images, labels, attack, indices=indices)


def _vanishing(model: nn.Module, x: Tensor, y: Tensor, candidates: Tensor, *, scale_free: bool = False) -> Tensor:
    """At which of ``candidates`` (N,) bool the gradient vanishes, (N,) bool."""
    found = torch.zeros_like(candidates)
    if bool(candidates.any()):
        found[candidates] = vanishing(model, x[candidates], y[candidates], scale_free=scale_free)
    return found


def _resisting(
    model: nn.Module,
    run: Run,
    target: nn.Module,
    x: Tensor,
    y: Tensor,
    attack: Spec,
    indices: Tensor,
    candidates: Tensor,
) -> Tensor:
    """Which of ``candidates`` (N,) bool the attack ``run`` on ``target`` does not fool, (N,) bool."""
    robust = candidates.clone()
    kept = candidates.nonzero().flatten()
    if len(kept) > 0:
        adversarial = run(target, x[kept], y[kept], attack, indices[kept.cpu()])
        robust[kept] = predict(model, adversarial, y[kept]) == y[kept]
    return robust


def predict(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """The predicted classes (N,); raises as :func:`checked_logits`."""
    return checked_logits(model, images, labels).argmax(dim=1)


@torch.no_grad()
def checked_logits(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """The logits (N, classes).

    Raises as :func:`gdws._util.outputs.logits_of`, and :class:`DataError` if ``labels`` (N,) are beyond the classes.
    """
    logits = logits_of(model, images)
    if int(labels.max()) >= logits.shape[1] or int(labels.min()) < 0:
        raise DataError(
            f"labels go from {int(labels.min())} to {int(labels.max())}, but there are {logits.shape[1]} classes"
        )
    return logits


@torch.no_grad()
def dense_equivalent(model: nn.Module, images: Images) -> nn.Module:
    """An equivalent copy of ``model`` with each low-rank product multiplied out into a dense convolution.

    Its gradients are the same up to rounding and take a fraction of the time. The equivalence is checked on the first
    of ``images`` (N, C, H, W); raises :class:`~gdws.errors.ModelError` if the outputs differ.
    """
    dense = to_dense(model)
    few = images[:_COMPARED].to(device_of(model))
    with evaluation_mode(model), evaluation_mode(dense):
        expected, found = (logits_of(network, few) for network in (model, dense))
    difference = float((expected - found).abs().max() / expected.abs().max().clamp(min=1e-12))
    if not difference <= _TOLERANCE:  # holds for NaN as well
        raise ModelError(
            f"the logits of the dense equivalent differ by {difference:.1%}",
            hint="attack the network itself",
        )
    return dense


def device_of(model: nn.Module) -> torch.device:
    """The device of the weights."""
    parameter = next(model.parameters(), None)
    return torch.device("cpu") if parameter is None else parameter.device
