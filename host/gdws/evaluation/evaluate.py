"""Natural and robust accuracy of a network, under white-box attacks."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import torch
from torch import nn

from gdws._util.distributed import Workers
from gdws._util.progress import SILENT, Progress
from gdws.compression.eligibility import require_weights
from gdws.datasets import Images, check_images, require_images
from gdws.errors import GdwsError
from gdws.evaluation import tally
from gdws.evaluation.attacks import AttackSpec, Spec
from gdws.evaluation.attacks.second_opinion import QUERIES, can_ask
from gdws.evaluation.attacks.spec import is_void
from gdws.evaluation.judging import Outcome, Queried, ask, dense_equivalent, judge, predict
from gdws.evaluation.tally import Tally
from gdws.results.near_chance import answer_doubts
from gdws_contract.attack_check import AttackCheck
from gdws_contract.findings.intervals import proportion
from gdws_contract.manifest import Origin
from gdws_contract.measures import Proportion

__all__ = ["AttackOn", "Evaluation", "evaluate", "predict"]

#: What a batch gives.
B = TypeVar("B", Outcome, Queried)

#: Where adversarial images are made: on the network itself, or on the equivalent dense network, whose gradients take a
#: fraction of the time of those of GDWS layers. They are always judged by the network itself.
AttackOn = Literal["itself", "dense-equivalent"]


@dataclass(frozen=True)
class Evaluation:
    """The result of :func:`evaluate`; ``robust`` and ``attack`` are None if no attack was run.

    ``duration_s`` includes the time before an interruption. ``attack_check`` says whether ``robust`` can be trusted;
    None without a second opinion. ``classes_answered`` is the number of classes that the network predicts for the
    images; None for evaluations started by an earlier release. ``origin`` is the origin of the labels: unless it is
    ``labelled``, ``natural`` is the agreement with the network that labelled them. ``right`` says for each image
    whether it is classified correctly and robustly, for a comparison with another network on the same images.
    """

    natural: Proportion
    robust: Proportion | None
    attack: Spec | None
    duration_s: float
    torch_version: str
    attack_on: AttackOn = "itself"
    classes: int | None = None
    attack_check: AttackCheck | None = None
    classes_answered: int | None = None
    origin: Origin = "labelled"
    right: tuple[tuple[bool, ...], tuple[bool, ...]] = ((), ())

    def doubts(self) -> list[str]:
        """Reservations about the accuracies, in whole sentences."""
        found = [] if self.attack_check is None else self.attack_check.doubts()
        return [*found, *answer_doubts(self.natural, self.origin, self.classes, self.classes_answered)]

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON; the accuracies and the attack have the fields that the contract gives them."""
        return {
            "origin": self.origin,
            "natural": self.natural.model_dump(),
            "robust": None if self.robust is None else self.robust.model_dump(),
            "attack": None if self.attack is None else self.attack.to_dict(),
            "attack_on": self.attack_on,
            "attack_check": None if self.attack_check is None else self.attack_check.model_dump(),
            "duration_s": self.duration_s,
            "torch_version": self.torch_version,
        }


def evaluate(
    model: nn.Module,
    images: Images,
    labels: torch.Tensor,
    attack: Spec | None = None,
    *,
    batch_size: int = 128,
    attack_on: AttackOn = "itself",
    check: bool = True,
    state: Path | None = None,
    workers: Workers | None = None,
    progress: Progress = SILENT,
) -> Evaluation:
    """Accuracy on ``images`` (N, C, H, W) in [0, 1] with ``labels`` (N,), each with its 95 % interval.

    Images in files are read batch by batch.

    The network runs in evaluation mode on its own device and is not changed.
    A misclassified image counts as not robust and is not attacked. One that resists the attack is attacked with a
    scale-free loss, in a few steps, and a sample of those that still resist by queries; if queries fool more than
    chance would, all are queried. An image that any of these fools is not robust.
    The result depends on ``attack.seed``, but not on the batch size (up to rounding) or the number of processes. Only
    the random numbers of AutoAttack depend on the batches.

    Args:
        attack: the attack; None for natural accuracy only. With a radius of 0, robust is natural accuracy.
        batch_size: images in one pass.
        attack_on: where adversarial images are made, see :data:`AttackOn`. The equivalence of the dense network is
            first checked on some images.
        check: whether to run a second opinion, see :class:`~gdws_contract.attack_check.AttackCheck`.
        state: a file for the progress, updated after each batch. If it exists, the evaluation resumes from it, provided
            that network, images and settings are the same. It is not deleted.
        workers: the processes of torchrun, which share the images; each gets the whole result.

    Raises :class:`DataError` for images or labels out of range, :class:`ModelError` for logits that are not
    finite or of the wrong shape or an equivalent that is none, and :class:`ResultError` for a state of another
    evaluation.
    """
    require_weights(model)
    check_images(images, labels)
    if attack is not None:
        require_images(images, "an attack")
    if batch_size < 1:
        raise GdwsError(f"invalid batch size {batch_size}", hint="it must be at least 1")
    if attack_on not in get_args(AttackOn):
        raise GdwsError(f"invalid value {attack_on!r} for attack_on", hint=f"use {' or '.join(get_args(AttackOn))}")
    workers = workers or Workers()
    check = check and attack is not None and not is_void(attack)
    attacked = dense_equivalent(model, images) if attack is not None and attack_on == "dense-equivalent" else None
    settings: dict[str, Any] = {}
    found = Tally.empty(len(images))
    if state is not None:
        settings = _settings(model, images, labels, attack, attack_on, check, batch_size)
        found = tally.read(state, settings) or found
    course = _Course(
        model, images, labels, attack, attacked, check, batch_size, found, workers, progress, state, settings
    )
    course.judge()
    attack_check = None
    if check:
        attack_check = found.check(queries=course.query())
    return Evaluation(
        natural=proportion(found.natural, found.total),
        robust=None if attack is None else proportion(found.robust, found.total),
        attack=attack,
        duration_s=found.duration_s,
        torch_version=torch.__version__,
        attack_on=attack_on,
        classes=None if found.outputs is None else found.outputs.classes,
        attack_check=attack_check,
        classes_answered=len(found.outputs.answered) or None if found.outputs is not None else None,
        right=found.right(),
    )


@dataclass(eq=False)
class _Course:
    """A running evaluation; the processes share its batches, and ``found`` is the same in all of them."""

    model: nn.Module
    images: Images
    labels: torch.Tensor
    attack: Spec | None
    attacked: nn.Module | None
    check: bool
    batch_size: int
    found: Tally
    workers: Workers
    progress: Progress
    state: Path | None
    settings: Mapping[str, Any]

    def judge(self) -> None:
        """Judge the images not judged yet."""
        done, title = self.found.total, "natural accuracy" if self.attack is None else str(self.attack)
        self.progress.start(len(self.images) - done, title if not done else f"{title}, {done} done before")
        self._share(self.found.open(), self._judge, self.found.add)

    def query(self) -> int:
        """Run Square Attack on a sample, and on all if it succeeds there; returns the queries for each image."""
        assert self.attack is not None
        if not can_ask(self.attack):
            return 0
        self._query(self.found.sample())
        if self.found.queries_find:
            self._query(self.found.resisting())
        return QUERIES

    def _query(self, indices: torch.Tensor) -> None:
        left = self.found.not_queried(indices)
        if len(left) > 0:
            self.progress.start(len(left), "Square Attack")
            self._share(left, self._ask, self.found.add_queries)

    def _judge(self, indices: torch.Tensor) -> Outcome:
        return judge(
            self.model,
            self.images,
            self.labels,
            self.attack,
            indices=indices,
            attacked=self.attacked,
            second_opinion=self.check,
        )

    def _ask(self, indices: torch.Tensor) -> Queried:
        assert self.attack is not None
        return ask(self.model, self.images, self.labels, self.attack, indices=indices, attacked=self.attacked)

    def _share(self, indices: torch.Tensor, work: Callable[[torch.Tensor], B], add: Callable[[B], None]) -> None:
        """Do ``work`` on ``indices`` in batches, distributed over the processes, and ``add`` the result of each."""
        started = time.perf_counter() - self.found.duration_s
        batches = torch.split(indices, self.batch_size) if len(indices) > 0 else ()
        for first in range(0, len(batches), self.workers.size):
            own = first + self.workers.rank
            for done in self.workers.gather(work(batches[own]) if own < len(batches) else None):
                if done is not None:
                    add(done)
                    self.progress.advance(len(done.indices), **_figures(self.found, self.attack))
            self.found.duration_s = time.perf_counter() - started
            if self.state is not None and self.workers.leads:
                tally.write(self.state, self.found, self.settings)


def _figures(found: Tally, attack: Spec | None) -> dict[str, str]:
    figures = {"natural": f"{found.natural / found.total:.2%}"}
    if attack is not None:
        figures["robust"] = f"{found.robust / found.total:.2%}"
    return figures


def _settings(
    model: nn.Module,
    images: Images,
    labels: torch.Tensor,
    attack: Spec | None,
    attack_on: AttackOn,
    check: bool,
    batch_size: int,
) -> dict[str, Any]:
    """The settings that must be the same to resume an evaluation; keys appear in messages."""
    by_batch = isinstance(attack, AttackSpec) and attack.name == "autoattack"
    return {
        "weights": tally.digest_of_network(model),
        "images": tally.digest_of_images(images, labels),
        "count": len(images),
        "attack": None if attack is None else attack.to_dict(),
        "place of the attack": attack_on,
        "second opinion": check,
        "batch size": batch_size if by_batch else None,
    }
