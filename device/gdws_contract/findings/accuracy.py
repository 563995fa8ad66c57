"""How far two accuracies are apart."""

from __future__ import annotations

import math

from gdws_contract.base import Finite, Reading
from gdws_contract.measures import Proportion

from .intervals import wilson


class AccuracyChange(Reading):
    """A difference of two accuracies in percentage points, with its 95 % interval.

    The interval is Newcombe's (1998, method 10) from two Wilson intervals. It takes the two samples as
    independent; here they are the same images, so it is wider than need be.
    """

    points: Finite
    low: Finite
    high: Finite


def accuracy_change(baseline: Proportion, variant: Proportion) -> AccuracyChange:
    """``variant`` less ``baseline`` in points. See :class:`AccuracyChange`."""
    p, q = variant.successes / variant.count, baseline.successes / baseline.count
    p_low, p_high = wilson(variant.successes, variant.count)
    q_low, q_high = wilson(baseline.successes, baseline.count)
    return AccuracyChange(
        points=100 * (p - q),
        low=100 * (p - q - math.hypot(p - p_low, q_high - q)),
        high=100 * (p - q + math.hypot(p_high - p, q - q_low)),
    )
