"""Differences of accuracies."""

from __future__ import annotations

import math
import statistics
from typing import Sequence

from gdws_contract.base import Finite, Reading
from gdws_contract.measures import Proportion

from .intervals import CONFIDENCE, wilson


class AccuracyChange(Reading):
    """A difference of two accuracies in percentage points, with its 95 % interval."""

    points: Finite
    low: Finite
    high: Finite


def accuracy_change(baseline: Proportion, variant: Proportion) -> AccuracyChange:
    """``variant`` minus ``baseline`` in points, from the accuracies alone.

    The interval is Newcombe's (1998, method 10) from two Wilson intervals. It takes the two samples as
    independent; where they are the same images it is wider than need be, see :func:`paired_change`.
    """
    p, q = variant.successes / variant.count, baseline.successes / baseline.count
    p_low, p_high = wilson(variant.successes, variant.count)
    q_low, q_high = wilson(baseline.successes, baseline.count)
    return AccuracyChange(
        points=100 * (p - q),
        low=100 * (p - q - math.hypot(p - p_low, q_high - q)),
        high=100 * (p - q + math.hypot(p_high - p, q - q_low)),
    )


def paired_change(baseline: Sequence[bool], variant: Sequence[bool]) -> AccuracyChange:
    """``variant`` minus ``baseline`` in points, paired by image.

    Only images on which the two differ say anything (McNemar, 1947). The interval is that of Agresti and Min (2005),
    Wald's after half an image is added to each of the four cells: it holds for few images and for none that differ.
    Raises :class:`ValueError` if the two do not pair or there are no images.
    """
    count = len(baseline)
    if count != len(variant) or count == 0:
        raise ValueError(f"{count} and {len(variant)} answers do not pair")
    gained = sum(after and not before for before, after in zip(baseline, variant))
    lost = sum(before and not after for before, after in zip(baseline, variant))
    n, b, c = count + 2.0, gained + 0.5, lost + 0.5
    centre = (b - c) / n
    z = statistics.NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    half = z * math.sqrt(max(b + c - (b - c) ** 2 / n, 0.0)) / n
    points = 100 * (gained - lost) / count
    low, high = max(100 * (centre - half), -100.0), min(100 * (centre + half), 100.0)
    return AccuracyChange(points=points, low=min(low, points), high=max(high, points))
