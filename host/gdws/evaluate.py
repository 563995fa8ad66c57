"""Natural and robust accuracy of a network, the attack white-box on that very network."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import nn

from gdws import tally
from gdws.attacks import AttackSpec, Spec
from gdws.datasets import check_images
from gdws.eligibility import require_weights
from gdws.errors import GdwsError
from gdws.intervals import proportion
from gdws.judging import Outcome, dense_equivalent, judge, predict
from gdws.progress import SILENT, Progress
from gdws.tally import Tally
from gdws.workers import Workers
from gdws_contract.measures import Proportion

__all__ = ["AttackOn", "Evaluation", "evaluate", "predict"]

#: Where adversarial images are made: on the network itself, or on the dense network of the same function, whose
#: gradients take a fraction of the time of those of GDWS layers. The network itself judges them in any case.
AttackOn = Literal["itself", "dense-equivalent"]


@dataclass(frozen=True)
class Evaluation:
    """What :func:`evaluate` found; ``robust`` and ``attack`` are None if no attack was run.

    ``duration_s`` includes the time before an interruption.
    """

    natural: Proportion
    robust: Proportion | None
    attack: Spec | None
    duration_s: float
    torch_version: str
    attack_on: AttackOn = "itself"

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON; the accuracies and the attack have the fields that the contract gives them."""
        return {
            "natural": self.natural.model_dump(),
            "robust": None if self.robust is None else self.robust.model_dump(),
            "attack": None if self.attack is None else self.attack.to_dict(),
            "attack_on": self.attack_on,
            "duration_s": self.duration_s,
            "torch_version": self.torch_version,
        }


def evaluate(
    model: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    attack: Spec | None = None,
    *,
    batch_size: int = 128,
    attack_on: AttackOn = "itself",
    state: Path | None = None,
    workers: Workers | None = None,
    progress: Progress = SILENT,
) -> Evaluation:
    """Accuracy on ``images`` (N, C, H, W) in [0, 1] with ``labels`` (N,), each with its 95 % interval.

    The network runs in evaluation mode and is left as it was, on the device where its weights are.
    An image that is misclassified as it is counts as not robust and is not attacked.
    The result is the same for the same ``attack.seed``, whatever the batch size (up to rounding), and whatever the
    number of processes. AutoAttack alone depends on the batches in its random draws.

    Args:
        attack: what to run; None for natural accuracy alone. A budget of 0 gives natural accuracy again.
        batch_size: images in one pass.
        attack_on: where adversarial images are made, see :data:`AttackOn`. That the dense equivalent is the same
            function is checked on some images first.
        state: a file that keeps what is done, batch by batch. Where it exists the evaluation goes on from it, once its
            network, images and settings are found to be the same. It is left in place.
        workers: the processes of torchrun, which share the images; each gets the whole result.

    Raises :class:`DataError` for images or labels out of range, :class:`ModelError` for logits that are not
    finite or of the wrong shape or an equivalent that is none, and :class:`ResultError` for a state of another
    evaluation.
    """
    require_weights(model)
    check_images(images, labels)
    if batch_size < 1:
        raise GdwsError(f"the batch size is {batch_size}", hint="it must be at least 1")
    if attack_on not in get_args(AttackOn):
        raise GdwsError(f"no attack can be made on {attack_on!r}", hint=f"use {' or '.join(get_args(AttackOn))}")
    workers = workers or Workers()
    attacked = dense_equivalent(model, images) if attack is not None and attack_on == "dense-equivalent" else None
    settings: dict[str, Any] = {}
    found = Tally.empty(len(images))
    if state is not None:
        settings = _settings(model, images, labels, attack, attack_on, batch_size)
        found = tally.read(state, settings) or found
    title = "natural accuracy" if attack is None else str(attack)
    progress.start(len(images) - found.total, title if not found.total else f"{title}, {found.total} done before")
    started = time.perf_counter() - found.duration_s
    batches = torch.split(found.open(), batch_size) if found.total < len(images) else ()
    for first in range(0, len(batches), workers.size):
        mine: Outcome | None = None
        if first + workers.rank < len(batches):
            mine = judge(model, images, labels, attack, indices=batches[first + workers.rank], attacked=attacked)
        for outcome in workers.gather(mine):
            if outcome is not None:
                found.add(outcome)
                progress.advance(len(outcome.indices), **_figures(found, attack))
        found.duration_s = time.perf_counter() - started
        if state is not None and workers.leads:
            tally.write(state, found, settings)
    return Evaluation(
        natural=proportion(found.natural, found.total),
        robust=None if attack is None else proportion(found.robust, found.total),
        attack=attack,
        duration_s=time.perf_counter() - started,
        torch_version=torch.__version__,
        attack_on=attack_on,
    )


def _figures(found: Tally, attack: Spec | None) -> dict[str, str]:
    figures = {"natural": f"{found.natural / found.total:.2%}"}
    if attack is not None:
        figures["robust"] = f"{found.robust / found.total:.2%}"
    return figures


def _settings(
    model: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    attack: Spec | None,
    attack_on: AttackOn,
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
        "batch size": batch_size if by_batch else None,
    }
