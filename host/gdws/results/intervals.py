"""The confidence interval of an accuracy."""

from __future__ import annotations

import math
from statistics import NormalDist

from gdws_contract.measures import Interval, Proportion


def proportion(successes: int, count: int) -> Proportion:
    """``successes`` of ``count`` with the 95 % Wilson interval. Raises :class:`ValueError` as :func:`wilson`."""
    low, high = wilson(successes, count, level=0.95)
    interval = Interval(low=low, high=high, level=0.95, method="wilson")
    return Proportion(value=successes / count, successes=successes, count=count, interval=interval)


#: What to say of an accuracy that :func:`is_near_chance`.
NEAR_CHANCE = (
    "The natural accuracy is near chance: probably the pixels have another range, normalisation or order of channels "
    "than the network was trained with, or the labels another order."
)


def is_near_chance(accuracy: Proportion, classes: int | None) -> bool:
    """Whether a network among so many classes is not shown to be better than guessing, nor looks it."""
    if not classes:
        return False
    low, _ = wilson(accuracy.successes, accuracy.count, level=0.95)
    return low <= 1 / classes and accuracy.value <= 1.5 / classes


def wilson(successes: int, count: int, *, level: float) -> tuple[float, float]:
    """The score interval of a binomial proportion (Wilson, 1927): (low, high) within [0, 1].

    Unlike the interval from the standard error it stays sensible near 0 and 1.
    Raises :class:`ValueError` unless 0 <= successes <= count and count >= 1.
    """
    if count < 1 or not 0 <= successes <= count:
        raise ValueError(f"{successes} of {count} is no proportion")
    z = NormalDist().inv_cdf((1 + level) / 2)
    share = successes / count
    centre = share + z * z / (2 * count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    # At the ends of the range one limit is exact; rounding must not move it.
    low = 0.0 if successes == 0 else (centre - half) / scale
    high = 1.0 if successes == count else (centre + half) / scale
    return low, high
