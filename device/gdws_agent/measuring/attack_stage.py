"""The stage of a sweep that attacks the engine of one variant."""

from __future__ import annotations

from typing import Callable, Optional

from gdws_agent.errors import AttackImpossible
from gdws_agent.timestamps import utc_now
from gdws_contract.attacks import AttackOptions, AttackProgress
from gdws_contract.rest import Cell

from .attacking import Labelled, Replays, attack_engine, attack_flags, attack_result
from .candidate import Candidate
from .messages import AttackedEvent, Event, StageEvent, WorkOrder
from .parity import Expected, Replayed, right_answers
from .results import attacked_cell
from .verification import VerificationSet


def attack_candidate(
    candidate: Candidate,
    verification: VerificationSet,
    options: AttackOptions,
    order: WorkOrder,
    emit: Callable[[Event], None],
) -> Cell:
    """Attack the engine of ``candidate``, which has passed parity; return its cell, with flags for what spoils that.

    ``emit`` is told of progress, and of images as soon as they are done; those of the order are done already.

    Raises:
        AttackImpossible: there are no labels. RunFailed, OutOfMemory: as the engine does.
    """
    if verification.labels is None or candidate.replays is None:
        raise AttackImpossible("the bundle has no labels to attack", hint="pack a classifier with labelled images")

    def tell(progress: AttackProgress) -> None:
        emit(StageEvent(stage="attack", variant=candidate.variant, attack=progress))

    found = attack_engine(
        candidate.engine,
        Labelled(verification.inputs, verification.labels),
        options,
        order.batch_size,
        order.attacked.get(candidate.variant, []),
        lambda images: emit(AttackedEvent(variant=candidate.variant, images=images)),
        tell,
    )
    candidate.findings.flags += attack_flags(found)
    return attacked_cell(candidate.findings, attack_result(found, options, candidate.replays), utc_now())


def replays_of(expected: Expected, natural: Replayed, adversarial: Optional[Replayed]) -> Optional[Replays]:
    """Return which replayed inputs were classified correctly; None where there are no labels."""
    device, host = (right_answers(expected, outputs) for outputs in (natural.device, natural.host))
    if device is None or host is None:
        return None
    if adversarial is None:
        return Replays(device, None, host, None)
    return Replays(device, right_answers(expected, adversarial.device), host, right_answers(expected, adversarial.host))
