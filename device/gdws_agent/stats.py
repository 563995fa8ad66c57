"""The statistics of times: pure functions of plain numbers.

A *sample* is the time of one inference. A *window* is a stretch of inferences of one variant, back to back;
its median stands for it. Windows of all variants take turns in *rounds*, so that a slow change of the machine
meets each of them alike, and ratios are formed round by round.
"""

from __future__ import annotations

import math
import statistics
from typing import NamedTuple, Optional, Sequence

from gdws_contract.findings.intervals import LARGEST, paired_ratio
from gdws_contract.measures import Interval, LatencySummary, SpeedUp

#: Below this count a tail percentile is based on few samples or none.
PERCENTILE_MIN_COUNT = 100
#: perf_analyzer's rule: steady when the last three windows lie within 10 %.
STEADY_WINDOWS = 3
STEADY_TOLERANCE = 0.10


def percentile(ordered: Sequence[float], percent: int, of: int = 100) -> float:
    """Return the ``percent``-th percentile of samples in ascending order, by trtexec's rule.

    That is the element at n - 1 - floor((100 - percent) n / 100): always a time that was measured. For p99.9 give 999
    of 1000.

    Raises:
        ValueError: there are no samples, or ``percent`` is not between 0 and ``of``.
    """
    if not ordered or not 0 <= percent <= of:
        raise ValueError(f"no {percent}th percentile of {len(ordered)} samples")
    excluded = (of - percent) * len(ordered) // of
    return ordered[max(len(ordered) - 1 - excluded, 0)]


def summarise(samples_ms: Sequence[float], scope: str) -> LatencySummary:
    """Return the summary of single times in milliseconds; ``scope`` says what one of them covers.

    The standard deviation is the sample's (n - 1); None for a single sample.

    Raises:
        ValueError: there are no samples.
    """
    if not samples_ms:
        raise ValueError("no samples")
    ordered = sorted(samples_ms)
    count = len(ordered)
    mean = math.fsum(ordered) / count
    std = _deviation(ordered, mean) if count > 1 else None
    enough = count >= PERCENTILE_MIN_COUNT
    return LatencySummary(
        scope=scope,
        count=count,
        min_ms=ordered[0],
        mean_ms=mean,
        median_ms=statistics.median(ordered),
        p90_ms=percentile(ordered, 90) if enough else None,
        p95_ms=percentile(ordered, 95) if enough else None,
        p99_ms=percentile(ordered, 99) if enough else None,
        max_ms=ordered[-1],
        std_ms=std,
        cv=coefficient_of_variation(ordered),
        percentiles_withheld=None
        if enough
        else f"p90, p95 and p99 need {PERCENTILE_MIN_COUNT} samples; there are {count}",
    )


def is_steady(window_medians: Sequence[float]) -> bool:
    """Return whether the last three windows lie within 10 % of each other."""
    last = window_medians[-STEADY_WINDOWS:]
    return len(last) == STEADY_WINDOWS and max(last) <= (1 + STEADY_TOLERANCE) * min(last)


def paired_speedup(baseline_ms: Sequence[float], variant_ms: Sequence[float], baseline: str) -> SpeedUp:
    """Return how many times faster the variant is, from the medians of the windows of the same rounds.

    The ratio is the geometric mean of the rounds' ratios baseline / variant. Its interval is Student's t on
    their logarithms: whatever slowed a whole round cancels, what differs from round to round widens it.

    Raises:
        ValueError: the rounds do not pair, there are none, or a time is not positive and finite.
    """
    if len(baseline_ms) != len(variant_ms) or not baseline_ms:
        raise ValueError(f"{len(baseline_ms)} and {len(variant_ms)} rounds do not pair")
    if not all(0 < time_ms < math.inf for time_ms in (*baseline_ms, *variant_ms)):
        raise ValueError("times must be positive and finite")
    found = paired_ratio(baseline_ms, variant_ms)
    if found is None:  # a single round
        return SpeedUp(ratio=baseline_ms[0] / variant_ms[0], interval=None, rounds=1, baseline=baseline)
    interval = None
    if found.high < LARGEST:
        interval = Interval(low=found.low, high=found.high, level=found.level, method="paired-rounds-t")
    return SpeedUp(ratio=found.value, interval=interval, rounds=len(baseline_ms), baseline=baseline)


class Trend(NamedTuple):
    """The trend of values over time.

    ``change``: the median of the last third over that of the first, less 1. ``z``: Mann and Kendall's statistic
    of the number of rises less falls over all pairs, about standard normal when there is no trend.
    """

    change: float
    z: float


def trend(values: Sequence[float]) -> Trend:
    """Return the trend of at least three positive values (Mann, 1945).

    Raises:
        ValueError: there are fewer.
    """
    count = len(values)
    if count < 3:
        raise ValueError(f"no trend in {count} values")
    third = count // 3
    change = statistics.median(values[-third:]) / statistics.median(values[:third]) - 1
    rises = sum((later > earlier) - (later < earlier) for i, earlier in enumerate(values) for later in values[i + 1 :])
    spread = math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    return Trend(change, math.copysign(max(abs(rises) - 1, 0), rises) / spread)


def coefficient_of_variation(values: Sequence[float]) -> Optional[float]:
    """Return standard deviation over mean; None for fewer than two values, or a mean of 0."""
    mean = math.fsum(values) / len(values) if values else 0.0
    return _deviation(values, mean) / mean if len(values) > 1 and mean > 0 else None


def _deviation(values: Sequence[float], mean: float) -> float:
    """Return the sample's standard deviation. The statistics module computes it in fractions, slowly."""
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def without_slowest(samples: Sequence[float], share: float) -> Sequence[float]:
    """Return the samples in ascending order, without the slowest ``share`` of them, rounded up."""
    ordered = sorted(samples)
    return ordered[: len(ordered) - math.ceil(len(ordered) * share)]
