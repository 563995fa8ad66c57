"""Distils a dense network into its GDWS network by a few dozen gradient steps without labels.

Fitting is layer by layer and to the second order; what errors of nineteen layers do together, and what an attack on
the converted network finds, it has not seen. Distillation (Hinton et al., 2015, arXiv:1503.02531) has: all factors
descend on the divergence between the two networks' decisions, on images and on adversarial images made against that
same divergence, which is the regulariser of TRADES (Zhang et al., 2019, arXiv:1901.08573) with the dense network's
answers as targets.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (the customary name)

from gdws._util.modes import evaluation_mode
from gdws._util.outputs import logits_of
from gdws._util.progress import SILENT, Progress
from gdws._util.seeds import derive_seed
from gdws.compression.layers import GDWSConv2d
from gdws.datasets import Images
from gdws.errors import DataError, GdwsError, ModelError
from gdws.evaluation.attacks import AttackSpec
from gdws.evaluation.attacks.ascent import Objective
from gdws.evaluation.attacks.pgd import pgd
from gdws.training.balancing import balance
from gdws.training.dense_twin import dense_twin, pass_gradients
from gdws.training.precision import PRECISIONS, Precision, has_bf16
from gdws.training.schedule import one_cycle


@dataclass(frozen=True, kw_only=True)
class DistillSettings:
    """Settings of the distillation.

    ``steps`` of Adam on batches of ``batch_size`` images, at a one-cycle rate of at most ``learning_rate``. ``attack``
    makes half of each step's inputs, a few steps from a random start, see
    :func:`gdws.evaluation.attacks.protocols.one_step`; None for natural images alone. ``precision`` ``bf16`` runs
    forward and backward passes in torch's mixed precision and leaves weights and their updates in fp32; ``auto`` is
    ``bf16`` on devices whose arithmetic has it.
    """

    steps: int = 80
    batch_size: int = 128
    attack: AttackSpec | None = None
    learning_rate: float = 2e-3
    seed: int = 0
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size"):
            self._require(getattr(self, name) >= 1, name, "at least 1")
        self._require(0 < self.learning_rate < math.inf, "learning_rate", "greater than 0")
        self._require(self.precision in PRECISIONS, "precision", f"one of {', '.join(PRECISIONS)}")

    def images_of(self, count: int) -> int:
        """How many of ``count`` images the steps look at."""
        return min(count, self.steps * self.batch_size)

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, ready for JSON."""
        return dataclasses.asdict(self)

    def _require(self, holds: bool, name: str, rule: str) -> None:
        if not holds:
            raise GdwsError(f"{name} of distillation is {getattr(self, name)!r}", hint=f"it must be {rule}")


def distill(
    network: nn.Module,
    teacher: nn.Module,
    images: Images,
    settings: DistillSettings,
    *,
    progress: Progress = SILENT,
) -> nn.Module:
    """Return a copy of the GDWS ``network`` with decisions closer to ``teacher``'s, in evaluation mode.

    Ranks, layouts and the statistics of batch normalisation stay; all weights of the copy descend, filters and
    pointwise weights balanced (:func:`gdws.training.balance`). Attack and gradients pass through the dense network of
    the same function, which takes a fraction of the time. No label is used, and no image is looked at but ``images``.

    Args:
        network: as :func:`gdws.convert` gives it; it is not changed.
        teacher: the network it was made from, with logits (N, classes).
        images: (N, C, H, W) in [0, 1], natural ones, on any device or in files; the attack is made here. Each step
            reads its own, so that there may be far more than memory holds, and the more the better: networks overfit
            to a few that they see again and again.

    Raises :class:`~gdws.errors.ModelError` if ``network`` has no GDWS layer or the loss diverges, and
    :class:`~gdws.errors.DataError` if there is no image.
    """
    if not any(isinstance(module, GDWSConv2d) for module in network.modules()):
        raise ModelError("the network has no GDWS layer", hint="convert it first")
    if len(images) == 0:
        raise DataError("distillation needs images", hint="give some of the training split")
    student = copy.deepcopy(network).requires_grad_(True)
    balance(student)
    optimizer = torch.optim.Adam(student.parameters())
    device = next(student.parameters()).device
    mixed = settings.precision == "bf16" or (settings.precision == "auto" and has_bf16(device))
    progress.start(settings.steps, f"distill, {settings.steps} steps")
    with evaluation_mode(teacher), evaluation_mode(student):
        for step, rows in enumerate(_batches(len(images), settings)):
            x = images[rows].to(device)
            twin = dense_twin(student)
            with evaluation_mode(twin), torch.autocast(device.type, torch.bfloat16, enabled=mixed):
                loss = _loss(twin, teacher, x, rows, step, settings)
            if not math.isfinite(loss.item()):
                raise ModelError("distillation diverged: its loss is not finite", hint="lower the learning rate")
            for group in optimizer.param_groups:
                group["lr"] = one_cycle(settings.learning_rate, step, settings.steps)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            pass_gradients(twin, student)
            optimizer.step()
            balance(student)
            progress.advance(1, loss=loss.item())
    for parameter, original in zip(student.parameters(), network.parameters(), strict=True):
        parameter.requires_grad_(original.requires_grad)
    return student.eval()


def _batches(count: int, settings: DistillSettings) -> Iterator[Tensor]:
    """The rows of the images of each step: repeated passes over all of them, each in another order."""
    size = min(settings.batch_size, count)
    left, order, passes = settings.steps, torch.empty(0, dtype=torch.int64), 0
    while left:
        if len(order) < size:
            generator = torch.Generator().manual_seed(derive_seed(settings.seed, "pass", passes))
            order, passes = torch.cat([order, torch.randperm(count, generator=generator)]), passes + 1
        yield order[:size]
        order, left = order[size:], left - 1


def _loss(
    student: nn.Module, teacher: nn.Module, x: Tensor, rows: Tensor, step: int, settings: DistillSettings
) -> Tensor:
    """The mean divergence on natural images, plus that on adversarial ones if there is an attack."""
    wanted = _decisions(teacher, x)
    if settings.attack is None:
        return _divergence_from(wanted)(logits_of(student, x)).mean()
    spec = dataclasses.replace(settings.attack, seed=derive_seed(settings.seed, "distillation", step))
    attacked = pgd(student, x, wanted, spec, indices=rows, objective=_divergence_from)
    wanted = torch.cat([wanted, _decisions(teacher, attacked)])
    return 2 * _divergence_from(wanted)(logits_of(student, torch.cat([x, attacked]))).mean()


@torch.no_grad()
def _decisions(network: nn.Module, x: Tensor) -> Tensor:
    """Logarithms of the probabilities of classes, (N, classes)."""
    return F.log_softmax(logits_of(network, x).float(), dim=1)


def _divergence_from(wanted: Tensor) -> Objective:
    """Kullback-Leibler divergence of an image's decision from ``wanted``, both as in :func:`_decisions`."""

    def divergence(logits: Tensor) -> Tensor:
        mine = F.log_softmax(logits.float(), dim=1)
        return F.kl_div(mine, wanted, reduction="none", log_target=True).sum(dim=1)

    return divergence
