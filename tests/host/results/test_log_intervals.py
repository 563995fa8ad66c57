"""Intervals on the logarithmic scale, against figures worked out by other means."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from gdws.results.log_intervals import geometric_mean, t_quantile, unpaired_ratio


def test_a_geometric_mean_lies_in_students_interval() -> None:
    values = [1.0, 1.1, 0.9, 1.05]
    found = geometric_mean(values)
    logs = np.log(values)
    low, high = stats.t.interval(0.95, 3, loc=logs.mean(), scale=stats.sem(logs))
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((math.exp(logs.mean()), math.exp(low), math.exp(high)))


def test_an_unpaired_ratio_has_welchs_interval() -> None:
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
def test_what_has_no_interval_is_none(values: list[float]) -> None:
    assert geometric_mean(values) is None
    assert unpaired_ratio(values, [1.0, 1.1]) is None
    assert unpaired_ratio([1.0, 1.1], values) is None


def test_the_quantile_is_students() -> None:
    assert t_quantile(0.975, 9) == pytest.approx(2.262157)


@pytest.mark.parametrize("count", [3, 10])
def test_the_unpaired_interval_covers_as_often_as_it_says(count: int) -> None:
    draw = np.random.default_rng(7)
    hits = 0
    for _ in range(2_000):
        found = unpaired_ratio(np.exp(draw.normal(0.1, 0.02, count)), np.exp(draw.normal(0.0, 0.05, count)))
        assert found is not None
        hits += found.low <= math.exp(0.1) <= found.high
    assert 0.93 <= hits / 2_000 <= 0.97
