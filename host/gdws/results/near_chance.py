"""Whether an accuracy is no better than guessing."""

from __future__ import annotations

from gdws_contract.findings.intervals import wilson
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
