"""What an accuracy does not show: one no better than guessing, one of a network that always answers the same."""

from __future__ import annotations

from gdws_contract.findings.intervals import wilson
from gdws_contract.manifest import Origin
from gdws_contract.measures import Proportion

#: What to say of an accuracy that :func:`is_near_chance`.
NEAR_CHANCE = (
    "The natural accuracy is near chance: probably the pixels have another range, normalisation or order of channels "
    "than the network was trained with, or the labels another order."
)


def is_near_chance(accuracy: Proportion, classes: int | None) -> bool:
    """Whether a network among so many classes is not shown to be better than guessing, nor looks it."""
    if not classes:
        return False
    low, _ = wilson(accuracy.successes, accuracy.count)
    return low <= 1 / classes and accuracy.value <= 1.5 / classes


def answer_doubts(natural: Proportion, origin: Origin, classes: int | None, classes_answered: int | None) -> list[str]:
    """What a reader of ``natural`` must know of a network among so many ``classes``, in whole sentences."""
    found = []
    if origin == "noise":
        found.append("The images are noise: figures say how often networks agree on noise, and nothing of accuracy.")
    if origin == "labelled" and is_near_chance(natural, classes):
        found.append(NEAR_CHANCE)
    if classes_answered == 1 and natural.count > 1 and classes != 1:
        found.append(
            f"The network answers one and the same class for all {natural.count:,} images, so how often it is right or "
            "agrees shows nothing: give images of several classes, in the range that it expects."
        )
    return found
