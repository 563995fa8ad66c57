import math
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdws_agent.stats import (
    coefficient_of_variation,
    is_steady,
    paired_speedup,
    percentile,
    summarise,
    trend,
    without_slowest,
)

times_ms = st.floats(1e-3, 1e4)
some_times_ms = st.lists(times_ms, min_size=1, max_size=300)
modest = settings(deadline=None, max_examples=60)


class TestPercentile:
    @pytest.mark.parametrize(
        ("percent", "count", "index"),
        [
            (90, 100, 89),
            (95, 100, 94),
            (99, 100, 98),
            (99, 101, 99),
            (99, 1000, 989),
            (50, 4, 1),
            (0, 7, 0),
            (100, 7, 6),
        ],
    )
    def test_trtexecs_index(self, percent, count, index):
        assert percentile(range(count), percent) == index

    @given(some_times_ms, st.integers(0, 100))
    @modest
    def test_it_is_a_sample_and_splits_the_rest(self, samples, percent):
        ordered = sorted(samples)
        value = percentile(ordered, percent)
        assert value in samples
        above = sum(sample > value for sample in samples)
        assert above <= (100 - percent) * len(samples) / 100

    @pytest.mark.parametrize(("samples", "percent"), [([], 50), ([1.0], 101), ([1.0], -1)])
    def test_nonsense_is_refused(self, samples, percent):
        with pytest.raises(ValueError, match="percentile"):
            percentile(samples, percent)


class TestSummarise:
    def test_by_hand(self):
        summary = summarise([4.0, 1.0, 2.0, 3.0], "a scope")
        assert (summary.count, summary.min_ms, summary.mean_ms, summary.median_ms, summary.max_ms) == (
            4,
            1,
            2.5,
            2.5,
            4,
        )
        assert summary.std_ms == pytest.approx(math.sqrt(5 / 3))
        assert summary.cv == pytest.approx(math.sqrt(5 / 3) / 2.5)
        assert summary.scope == "a scope"

    def test_percentiles_need_a_hundred_samples(self):
        few = summarise([1.0] * 99, "s")
        assert (few.p90_ms, few.p95_ms, few.p99_ms) == (None, None, None)
        assert few.percentiles_withheld is not None
        assert "99" in few.percentiles_withheld
        enough = summarise([float(i) for i in range(100)], "s")
        assert (enough.p90_ms, enough.p95_ms, enough.p99_ms) == (89, 94, 98)
        assert enough.percentiles_withheld is None

    def test_one_sample_has_no_spread(self):
        summary = summarise([2.0], "s")
        assert (summary.std_ms, summary.cv) == (None, None)

    def test_none_is_refused(self):
        with pytest.raises(ValueError, match="no samples"):
            summarise([], "s")

    @given(some_times_ms)
    @modest
    def test_order(self, samples):
        summary = summarise(samples, "s")
        assert summary.min_ms <= summary.median_ms <= summary.max_ms
        assert summary.min_ms <= summary.mean_ms * (1 + 1e-12)
        assert summary.mean_ms <= summary.max_ms * (1 + 1e-12)
        tail = [summary.median_ms, summary.p90_ms, summary.p95_ms, summary.p99_ms, summary.max_ms]
        known = [value for value in tail if value is not None]
        assert known == sorted(known)


class TestSteady:
    @pytest.mark.parametrize(
        ("medians", "steady"),
        [
            ([], False),
            ([1.0, 1.0], False),
            ([1.0, 1.0, 1.0], True),
            ([9.0, 1.0, 1.05, 1.1], True),
            ([1.0, 1.05, 1.11], False),
            ([1.0, 1.0, 1.0, 2.0], False),
        ],
    )
    def test_the_last_three_windows_within_ten_percent(self, medians, steady):
        assert is_steady(medians) is steady


class TestPairedSpeedup:
    def test_by_hand(self):
        speedup = paired_speedup([2.0, 4.0, 8.0], [1.0, 1.0, 1.0], "dense")
        assert speedup.ratio == pytest.approx(4.0)
        # Logarithms 1, 2, 3 times log 2: standard error log 2 / sqrt 3, t(0.975, 2) = 4.30265.
        margin = 4.30265 * math.log(2) / math.sqrt(3)
        assert speedup.interval is not None
        assert speedup.interval.low == pytest.approx(4 * math.exp(-margin), rel=1e-5)
        assert speedup.interval.high == pytest.approx(4 * math.exp(margin), rel=1e-5)
        assert (speedup.rounds, speedup.baseline) == (3, "dense")

    @given(st.lists(st.tuples(times_ms, st.floats(0.5, 2.0)), min_size=2, max_size=30), st.floats(0.1, 10))
    @modest
    def test_what_slows_a_whole_round_cancels(self, rounds, ratio):
        baseline = [time * slow for time, slow in rounds]
        variant = [time * slow / ratio for time, slow in rounds]
        speedup = paired_speedup(baseline, variant, "dense")
        assert speedup.ratio == pytest.approx(ratio)
        assert speedup.interval is not None
        assert speedup.interval.high / speedup.interval.low == pytest.approx(1, abs=1e-6)

    @given(st.lists(st.tuples(times_ms, times_ms), min_size=2, max_size=30))
    @modest
    def test_swapping_gives_the_reciprocal(self, rounds):
        ours, theirs = [time for time, _ in rounds], [time for _, time in rounds]
        there, back = paired_speedup(ours, theirs, "a"), paired_speedup(theirs, ours, "b")
        assert there.ratio * back.ratio == pytest.approx(1)
        if there.interval is not None and back.interval is not None:
            assert there.interval.low * back.interval.high == pytest.approx(1)

    def test_one_round_has_no_interval(self):
        assert paired_speedup([2.0], [1.0], "dense").interval is None

    def test_an_interval_without_end_is_none(self):
        assert paired_speedup([1e30, 1e-30], [1e-30, 1e30], "dense").interval is None

    @pytest.mark.parametrize(
        ("ours", "theirs"), [([], []), ([1.0], [1.0, 2.0]), ([0.0, 1.0], [1.0, 1.0]), ([math.inf, 1.0], [1.0, 1.0])]
    )
    def test_what_does_not_pair_is_refused(self, ours, theirs):
        with pytest.raises(ValueError, match=r"pair|positive"):
            paired_speedup(ours, theirs, "dense")


class TestTrend:
    def test_by_hand(self):
        moved = trend([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
        assert moved.change == pytest.approx(5.5 / 1.5 - 1)
        assert moved.z == pytest.approx(14 / math.sqrt(6 * 5 * 17 / 18))

    def test_no_trend(self):
        assert trend([3.0, 3.0, 3.0]).z == 0
        assert trend([3.0, 3.0, 3.0]).change == 0

    @given(st.lists(times_ms, min_size=3, max_size=30))
    @modest
    def test_backwards_is_the_opposite(self, values):
        forth, back = trend(values), trend(values[::-1])
        assert forth.z == pytest.approx(-back.z)
        assert (1 + forth.change) * (1 + back.change) == pytest.approx(1)

    def test_two_values_have_none(self):
        with pytest.raises(ValueError, match="trend"):
            trend([1.0, 2.0])


def test_coefficient_of_variation():
    assert coefficient_of_variation([1.0, 3.0]) == pytest.approx(statistics.stdev([1.0, 3.0]) / 2)
    assert [coefficient_of_variation(values) for values in ([], [1.0], [0.0, 0.0])] == [None, None, None]


@given(st.lists(times_ms, min_size=1, max_size=300))
@modest
def test_without_slowest(samples):
    rest = without_slowest(samples, 0.01)
    assert len(rest) == len(samples) - math.ceil(len(samples) / 100)
    assert list(rest) == sorted(samples)[: len(rest)]
