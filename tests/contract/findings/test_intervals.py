"""Confidence intervals, against published figures and against scipy's."""

from __future__ import annotations

import math
import random
import statistics
from typing import List

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdws_contract.findings.intervals import (
    LARGEST,
    geometric_mean,
    median_ratio,
    paired_ratio,
    proportion,
    unpaired_ratio,
    wilson,
)

times = st.floats(1e-3, 1e4)
modest = settings(deadline=None, max_examples=60)


@pytest.mark.parametrize(
    ("successes", "count", "low", "high"),
    [  # published examples: Newcombe (1998), Table I
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_published_examples(successes, count, low, high):
    assert wilson(successes, count, level=0.95) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 10_000), st.data())
def test_it_holds_the_share_and_mirrors(count, data):
    successes = data.draw(st.integers(0, count))
    low, high = wilson(successes, count, level=0.95)
    assert 0 <= low <= successes / count <= high <= 1
    assert low < high
    mirrored = wilson(count - successes, count, level=0.95)
    assert (1 - mirrored[1], 1 - mirrored[0]) == pytest.approx((low, high), abs=1e-12)


@pytest.mark.parametrize(("successes", "count"), [(0, 0), (-1, 5), (6, 5)])
def test_what_is_no_proportion(successes, count):
    with pytest.raises(ValueError, match="no proportion"):
        wilson(successes, count, level=0.95)


def test_the_record_says_how():
    found = proportion(98, 100)
    assert (found.value, found.successes, found.count) == (0.98, 98, 100)
    assert found.interval is not None
    assert (found.interval.level, found.interval.method) == (0.95, "wilson")


def test_a_geometric_mean_lies_in_students_interval() -> None:
    values = [1.0, 1.1, 0.9, 1.05]
    found = geometric_mean(values)
    logs = [math.log(value) for value in values]
    mean, margin = statistics.mean(logs), 3.182446305 * statistics.stdev(logs) / 2  # t(0.975, 3)
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx(
        (math.exp(mean), math.exp(mean - margin), math.exp(mean + margin))
    )


def test_a_minority_of_disturbed_pairs_does_not_move_a_median() -> None:
    quiet = [0.50, 0.51, 0.49, 0.50, 0.52, 0.48, 0.50]
    found = median_ratio([*quiet, 1.2, 1.3, 1.1], [1.0] * 10)
    assert found is not None
    # Of ten the second and the ninth: the ninth of a sample is beyond the median once in 93 times.
    assert (found.value, found.low, found.high) == pytest.approx((math.sqrt(0.50 * 0.51), 0.49, 1.2))
    assert found.level == pytest.approx(1 - 22 / 1024)


def test_an_interval_of_few_pairs_holds_them_all_and_says_how_sure_it_is() -> None:
    found = median_ratio([3.0, 1.0, 2.0], [1.0, 1.0, 1.0])
    assert found is not None
    assert (found.low, found.value, found.high, found.level) == pytest.approx((1.0, 2.0, 3.0, 0.75))
    assert median_ratio([1.0], [2.0]) is None
    with pytest.raises(ValueError, match="do not pair"):
        median_ratio([1.0, 2.0], [1.0])


def test_the_interval_of_a_median_is_a_binomials() -> None:
    stats = pytest.importorskip("scipy.stats")
    values = [math.exp(0.01 * number) for number in range(200)]
    found = median_ratio(values, [1.0] * 200)
    assert found is not None
    cut = round(100 * math.log(found.low))
    assert 2 * stats.binom.cdf(cut, 200, 0.5) <= 0.05 < 2 * stats.binom.cdf(cut + 1, 200, 0.5)
    assert found.level == pytest.approx(1 - 2 * stats.binom.cdf(cut, 200, 0.5))


def test_an_unpaired_ratio_has_welchs_interval() -> None:
    pytest.importorskip("scipy", minversion="1.11")
    np, stats = pytest.importorskip("numpy"), pytest.importorskip("scipy.stats")
    before, after = [2.0, 2.1, 1.9, 2.2, 2.0], [1.0, 1.3, 0.8]
    found = unpaired_ratio(before, after)
    expected = stats.ttest_ind(np.log(before), np.log(after), equal_var=False).confidence_interval(0.95)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((math.exp(expected.low), math.exp(expected.high)))
    assert found.low < found.value < found.high


def test_equal_windows_have_no_spread() -> None:
    found = unpaired_ratio([2.0, 2.0], [1.0, 1.0])
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((2.0, 2.0, 2.0))


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 0.0], [1.0, math.inf], [1.0, -1.0]])
def test_what_has_no_interval_is_none(values: List[float]) -> None:
    assert geometric_mean(values) is None
    assert unpaired_ratio(values, [1.0, 1.1]) is None
    assert unpaired_ratio([1.0, 1.1], values) is None


def test_what_slows_both_of_a_pair_cancels() -> None:
    found = paired_ratio([2.0, 4.0, 8.0], [1.0, 2.0, 4.0])
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((2.0, 2.0, 2.0))
    with pytest.raises(ValueError, match="pair"):
        paired_ratio([1.0, 2.0], [1.0])


@given(st.lists(times, min_size=2, max_size=20), st.lists(times, min_size=2, max_size=20))
@modest
def test_swapping_gives_the_reciprocal(above: List[float], below: List[float]) -> None:
    there, back = unpaired_ratio(above, below), unpaired_ratio(below, above)
    assert there is not None
    assert back is not None
    assert there.low <= there.value <= there.high
    if max(there.high, back.high) < LARGEST:
        assert there.value * back.value == pytest.approx(1)
        assert there.low * back.high == pytest.approx(1)


def test_limits_past_every_float_are_the_largest_figure() -> None:
    found = unpaired_ratio([1e-300, 1e300], [1e-300, 1e300])
    assert found is not None
    assert (found.low, found.high) == (0.0, LARGEST)


@pytest.mark.parametrize("count", [3, 10])
def test_the_unpaired_interval_covers_as_often_as_it_says(count: int) -> None:
    draw = random.Random(7)
    hits = 0
    for _ in range(2_000):
        above = [math.exp(draw.gauss(0.1, 0.02)) for _ in range(count)]
        found = unpaired_ratio(above, [math.exp(draw.gauss(0.0, 0.05)) for _ in range(count)])
        assert found is not None
        hits += found.low <= math.exp(0.1) <= found.high
    assert 0.93 <= hits / 2_000 <= 0.97
