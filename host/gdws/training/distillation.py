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
import itertools
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
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
from gdws.evaluation.tally import digest_of_network
from gdws.training import states
from gdws.training.balancing import balance
from gdws.training.dense_twin import dense_twin, pass_gradients
from gdws.training.precision import PRECISIONS, Precision, has_bf16
from gdws.training.schedule import one_cycle

#: Time between two writings of the state: what an interruption costs at most, and far more than a writing takes.
_STATE_INTERVAL_S = 20.0


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
    state: Path | None = None,
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
        state: a file for the progress, written every 20 s and at the end. If it is there, the same distillation goes on
            from it, to the same result; another one overwrites it. It is not deleted.

    Raises :class:`~gdws.errors.ModelError` if ``network`` has no GDWS layer or the loss diverges,
    :class:`~gdws.errors.DataError` if there is no image, and :class:`~gdws.errors.CheckpointUnreadable` if ``state`` is
    a file of another kind.
    """
    if not any(isinstance(module, GDWSConv2d) for module in network.modules()):
        raise ModelError("the network has no GDWS layer", hint="convert it first")
    if len(images) == 0:
        raise DataError("distillation needs images", hint="give some of the training split")
    run = _Run(copy.deepcopy(network).requires_grad_(True), teacher, images, settings)
    identity = {
        **settings.to_dict(),
        "what": "distillation",
        "images": list(images.shape),
        "mixed": run.mixed,
        "network": digest_of_network(network),
        "teacher": digest_of_network(teacher),
    }
    if state is not None and (content := states.read_if_same(state, identity)) is not None:
        run.restore(content)
    progress.start(settings.steps, f"distill, {settings.steps} steps")
    progress.advance(run.steps)
    written_s = time.monotonic()
    with evaluation_mode(teacher), evaluation_mode(run.student):
        for rows in itertools.islice(_batches(len(images), settings), run.steps, None):
            progress.advance(1, loss=run.step(rows))
            if state is not None and time.monotonic() - written_s >= _STATE_INTERVAL_S:
                states.write(state, identity, run.content())
                written_s = time.monotonic()
    if state is not None:
        states.write(state, identity, run.content())
    for parameter, original in zip(run.student.parameters(), network.parameters(), strict=True):
        parameter.requires_grad_(original.requires_grad)
    return run.student.eval()


class _Run:
    """A distillation between two of its steps; ``steps`` are done."""

    def __init__(self, student: nn.Module, teacher: nn.Module, images: Images, settings: DistillSettings) -> None:
        balance(student)
        self.student, self.steps = student, 0
        self._teacher, self._images, self._settings = teacher, images, settings
        self._optimizer = torch.optim.Adam(student.parameters())
        self._device = next(student.parameters()).device
        self.mixed = settings.precision == "bf16" or (settings.precision == "auto" and has_bf16(self._device))

    def step(self, rows: Tensor) -> float:
        """Descend once on the images at ``rows``, and return their loss. Raises :class:`ModelError` if it diverges."""
        x = self._images[rows].to(self._device)
        twin = dense_twin(self.student)
        with evaluation_mode(twin), torch.autocast(self._device.type, torch.bfloat16, enabled=self.mixed):
            loss = _loss(twin, self._teacher, x, rows, self.steps, self._settings)
        if not math.isfinite(loss.item()):
            raise ModelError("distillation diverged: its loss is not finite", hint="lower the learning rate")
        for group in self._optimizer.param_groups:
            group["lr"] = one_cycle(self._settings.learning_rate, self.steps, self._settings.steps)
        self._optimizer.zero_grad()
        torch.autograd.backward(loss)
        pass_gradients(twin, self.student)
        self._optimizer.step()
        balance(self.student)
        self.steps += 1
        return loss.item()

    def content(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        weights, moments = self.student.state_dict(), self._optimizer.state_dict()
        return {"steps": self.steps, "model": weights, "optimizer": moments}

    def restore(self, content: Mapping[str, Any]) -> None:
        """The inverse of :meth:`content`."""
        self.steps = content["steps"]
        self.student.load_state_dict(content["model"])
        self._optimizer.load_state_dict(content["optimizer"])


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
