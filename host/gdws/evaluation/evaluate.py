"""Natural and robust accuracy of a network, the attack white-box on that very network."""

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

#: Where adversarial images are made: on the network itself, or on the dense network of the same function, whose
#: gradients take a fraction of the time of those of GDWS layers. The network itself judges them in any case.
AttackOn = Literal["itself", "dense-equivalent"]


@dataclass(frozen=True)
class Evaluation:
    """What :func:`evaluate` found; ``robust`` and ``attack`` are None if no attack was run.

    ``duration_s`` includes the time before an interruption. ``attack_check`` says whether ``robust`` is to be trusted;
    None if no second opinion was asked for. ``classes_answered`` counts the classes that the network predicts for the
    images; None of evaluations that began before it was counted. ``origin`` says where the labels come from: where it
    is not ``labelled``, what stands as ``natural`` is the agreement with the network that gave them.
    ``right`` tells of each image whether it counts as natural and as robust, to be compared with another network on the
    same images.
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
        """What a reader of the accuracies must know, in whole sentences."""
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

    The network runs in evaluation mode and is left as it was, on the device where its weights are.
    An image that is misclassified as it is counts as not robust and is not attacked. One that resists the attack is
    attacked by a loss free of scale, in a few steps, and a sample of those that resist that too by queries alone;
    where queries fool more than luck would, all are. Whatever is fooled is not robust.
    The result is the same for the same ``attack.seed``, whatever the batch size (up to rounding), and whatever the
    number of processes. AutoAttack alone depends on the batches in its random draws.

    Args:
        attack: what to run; None for natural accuracy alone. A budget of 0 gives natural accuracy again.
        batch_size: images in one pass.
        attack_on: where adversarial images are made, see :data:`AttackOn`. That the dense equivalent is the same
            function is checked on some images first.
        check: whether to ask for a second opinion, see :class:`~gdws_contract.attack_check.AttackCheck`.
        state: a file that keeps what is done, batch by batch. Where it exists the evaluation goes on from it, once its
            network, images and settings are found to be the same. It is left in place.
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
        raise GdwsError(f"the batch size is {batch_size}", hint="it must be at least 1")
    if attack_on not in get_args(AttackOn):
        raise GdwsError(f"no attack can be made on {attack_on!r}", hint=f"use {' or '.join(get_args(AttackOn))}")
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
    """An evaluation under way; the processes share its batches, and ``found`` is the same in all of them."""

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
        """Judge what is open."""
        done, title = self.found.total, "natural accuracy" if self.attack is None else str(self.attack)
        self.progress.start(len(self.images) - done, title if not done else f"{title}, {done} done before")
        self._share(self.found.open(), self._judge, self.found.add)

    def query(self) -> int:
        """Try Square Attack on a sample, and on all where it finds something; returns the queries for each image."""
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
        """Do ``work`` on ``indices`` batch by batch, the processes in turn, and ``add`` what each batch gives."""
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
    """What must be the same for an evaluation to go on; keys read well in a message."""
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
