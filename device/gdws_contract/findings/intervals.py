"""Confidence intervals: of proportions, and of positive figures and their ratios on the logarithmic scale.

On that scale slowdowns add up, and a ratio and its reciprocal have intervals that are each other's reciprocals.
"""

from __future__ import annotations

import math
import statistics
from typing import List, Optional, Sequence, Tuple

from gdws_contract.base import Finite, Fraction, Reading
from gdws_contract.measures import Interval, Proportion

from .student_t import t_quantile

#: The level of every interval in reports and results.
CONFIDENCE = 0.95

#: Stands for every larger figure or limit: JSON has no infinity, and where one lies that far off it decides nothing.
LARGEST = 1e300


class IntervalEstimate(Reading):
    """A positive figure with a two-sided confidence interval of ``level``."""

    value: Finite
    low: Finite
    high: Finite
    level: Fraction = CONFIDENCE


def wilson(successes: int, count: int, *, level: float = CONFIDENCE) -> Tuple[float, float]:
    """The score interval of a binomial proportion (Wilson, 1927): (low, high) within [0, 1].

    Unlike the interval from the standard error it stays sensible near 0 and 1.
    Raises :class:`ValueError` unless 0 <= successes <= count and count >= 1.
    """
    if count < 1 or not 0 <= successes <= count:
        raise ValueError(f"{successes} of {count} is no proportion")
    z = statistics.NormalDist().inv_cdf((1 + level) / 2)
    share = successes / count
    centre = share + z * z / (2 * count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    # At the ends of the range one limit is exact; rounding must not move it.
    low = 0.0 if successes == 0 else (centre - half) / scale
    high = 1.0 if successes == count else (centre + half) / scale
    return low, high


def proportion(successes: int, count: int) -> Proportion:
    """``successes`` of ``count`` with the 95 % Wilson interval. Raises :class:`ValueError` as :func:`wilson`."""
    low, high = wilson(successes, count)
    interval = Interval(low=low, high=high, level=CONFIDENCE, method="wilson")
    return Proportion(value=successes / count, successes=successes, count=count, interval=interval)


def geometric_mean(values: Sequence[float], *, level: float = CONFIDENCE) -> Optional[IntervalEstimate]:
    """The geometric mean of independent positive ``values`` with Student's t interval on their logarithms.

    None for fewer than two values, or where one is not positive and finite.
    """
    logs = _logs(values)
    return None if logs is None else _of_mean(logs, level)


def paired_ratio(
    numerators: Sequence[float], denominators: Sequence[float], *, level: float = CONFIDENCE
) -> Optional[IntervalEstimate]:
    """The geometric mean of the ratios of pairs, with Student's t interval on their logarithms.

    Whatever changes both of a pair alike cancels. None where :func:`geometric_mean` of either is None.
    Raises :class:`ValueError` if the two do not pair.
    """
    if len(numerators) != len(denominators):
        raise ValueError(f"{len(numerators)} and {len(denominators)} values do not pair")
    above, below = _logs(numerators), _logs(denominators)
    return None if above is None or below is None else _of_mean([a - b for a, b in zip(above, below)], level)


def median_ratio(
    numerators: Sequence[float], denominators: Sequence[float], *, level: float = CONFIDENCE
) -> Optional[IntervalEstimate]:
    """The median of the ratios of pairs, with the interval of the sign test (between two of the sorted ratios).

    A minority of pairs that were disturbed, however much, does not move it. Of fewer than six pairs the interval is
    from the least to the largest, and ``level`` what that gives. None and :class:`ValueError` as for
    :func:`paired_ratio`.
    """
    if len(numerators) != len(denominators):
        raise ValueError(f"{len(numerators)} and {len(denominators)} values do not pair")
    above, below = _logs(numerators), _logs(denominators)
    if above is None or below is None:
        return None
    logs = sorted(a - b for a, b in zip(above, below))
    count, cut, outside = len(logs), 0, 2  # in parts of 2 ** count
    while (more := outside + 2 * math.comb(count, cut + 1)) / 2**count <= 1 - level:
        cut, outside = cut + 1, more
    centre = statistics.median(logs)
    return from_logs(
        centre, below=centre - logs[cut], above=logs[count - 1 - cut] - centre, level=1 - outside / 2**count
    )


def unpaired_ratio(
    numerators: Sequence[float], denominators: Sequence[float], *, level: float = CONFIDENCE
) -> Optional[IntervalEstimate]:
    """The ratio of the geometric means of two independent samples, with Welch's (1947) interval.

    None where :func:`geometric_mean` of either is None.
    """
    above, below = _logs(numerators), _logs(denominators)
    if above is None or below is None:
        return None
    parts = [_deviation(logs) ** 2 / len(logs) for logs in (above, below)]
    variance = math.fsum(parts)
    centre = _mean(above) - _mean(below)
    if variance == 0:
        return from_logs(centre, below=0.0, above=0.0, level=level)
    weights = [part * part / (len(logs) - 1) for part, logs in zip(parts, (above, below))]
    # Never fewer than those of the smaller sample; rounding must not make it so.
    freedom = max(variance * variance / math.fsum(weights), min(len(above), len(below)) - 1)
    margin = t_quantile((1 + level) / 2, freedom) * math.sqrt(variance)
    return from_logs(centre, below=margin, above=margin, level=level)


def from_logs(centre: float, *, below: float, above: float, level: float) -> IntervalEstimate:
    """The estimate whose logarithm is ``centre``, less ``below`` and plus ``above``; at most :data:`LARGEST`."""
    logs = (centre, centre - below, centre + above)
    value, low, high = (min(math.exp(min(log, 700.0)), LARGEST) for log in logs)
    return IntervalEstimate(value=value, low=low, high=high, level=level)


def _of_mean(logs: Sequence[float], level: float) -> IntervalEstimate:
    margin = t_quantile((1 + level) / 2, len(logs) - 1) * _deviation(logs) / math.sqrt(len(logs))
    return from_logs(_mean(logs), below=margin, above=margin, level=level)


def _logs(values: Sequence[float]) -> Optional[List[float]]:
    if len(values) < 2 or not all(math.isfinite(value) and value > 0 for value in values):
        return None
    return [math.log(value) for value in values]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _deviation(values: Sequence[float]) -> float:
    """The sample's standard deviation. The statistics module computes it in fractions, slowly."""
    mean = _mean(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))
