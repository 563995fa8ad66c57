import math
import random
import statistics

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gdws_agent.power.energy import (
    HOLD_INTERVALS,
    MIN_SAMPLES,
    EnergyRefused,
    Sample,
    Window,
    needed_duration_s,
    observe,
)

few = settings(max_examples=60, deadline=None)

POWERS = st.floats(0.1, 100.0)
GAPS = st.floats(0.01, 1.0)


def read(power_at, times, latency_s=0.0):
    return [Sample(time - latency_s, time + latency_s, power_at(time), {"A": power_at(time)}) for time in times]


def every(interval_s, start_s, end_s):
    count = int((end_s - start_s) / interval_s) + 1
    return [start_s + i * interval_s for i in range(count)]


@st.composite
def traces(draw):
    """A trace with readings at uneven times, and two windows apart that each hold half of them."""
    count = draw(st.integers(2 * MIN_SAMPLES, 60))
    gaps = draw(st.lists(GAPS, min_size=count, max_size=count))
    # A sensor that was silent for most of the time gives no figure, which is another test's business.
    between = gaps[1:]
    longest_s = 2 * HOLD_INTERVALS * statistics.median(between)
    assume(sum(max(0.0, gap - longest_s) for gap in between) < 0.1 * sum(between))
    times = [sum(gaps[: i + 1]) for i in range(count)]
    samples = [Sample(time, time, draw(POWERS), {}) for time in times]
    middle = count // 2
    edge = 0.4 * (times[middle] - times[middle - 1])
    first = Window(times[0] - draw(st.floats(0, 0.1)), times[middle - 1] + edge)
    second = Window(times[middle] - edge, times[-1] + draw(st.floats(0, 0.1)))
    return samples, first, second


class TestIntegral:
    @given(power_w=POWERS, interval_s=st.floats(0.02, 0.5), duration_s=st.floats(10, 40), phase=st.floats(0, 1))
    @few
    def test_constant_power_is_exact_wherever_the_window_lies(self, power_w, interval_s, duration_s, phase):
        samples = read(lambda time: power_w, every(interval_s, 0.0, duration_s + 5))
        seen = observe(samples, [Window(1 + phase * interval_s, 1 + phase * interval_s + duration_s)])
        assert seen.mean_w == pytest.approx(power_w)
        assert seen.energy_j == pytest.approx(power_w * duration_s)
        assert seen.margin_w == pytest.approx(0, abs=1e-9)

    @given(start_w=POWERS, slope=st.floats(-5, 5), count=st.integers(MIN_SAMPLES, 80), interval_s=GAPS)
    @few
    def test_a_line_is_exact_between_readings(self, start_w, slope, count, interval_s):
        power_at = lambda time: 1000 + start_w + slope * time  # noqa: E731
        times = [i * interval_s for i in range(count)]
        seen = observe(read(power_at, times), [Window(times[0], times[-1])])
        assert seen.mean_w == pytest.approx((power_at(times[0]) + power_at(times[-1])) / 2, rel=1e-9)

    @given(slope=st.floats(-3, 3), phase=st.floats(0, 1))
    @few
    def test_the_edges_of_a_line_are_off_by_less_than_half_a_step_and_within_the_bar(self, slope, phase):
        interval_s, window = 0.5, Window(2.0, 14.0)
        power_at = lambda time: 100 + slope * time  # noqa: E731
        seen = observe(read(power_at, every(interval_s, phase * interval_s, 16)), [window])
        error_w = abs(seen.mean_w - power_at(8.0))
        assert error_w <= abs(slope) * interval_s**2 / 2 / window.duration_s + 1e-9
        assert error_w <= seen.margin_w + 1e-9

    @given(traces())
    @few
    def test_energy_adds_up_over_windows(self, drawn):
        samples, first, second = drawn
        both = observe(samples, [first, second])
        apart = observe(samples, [first]).energy_j + observe(samples, [second]).energy_j
        if math.isclose(both.observed_s, both.duration_s):
            assert both.energy_j == pytest.approx(apart)
        assert both.duration_s == pytest.approx(first.duration_s + second.duration_s)

    @given(traces(), st.randoms(use_true_random=False))
    @few
    def test_the_order_of_readings_and_windows_does_not_matter(self, drawn, rng):
        samples, first, second = drawn
        shuffled = rng.sample(samples, len(samples))
        there, back = observe(samples, [first, second]), observe(shuffled, [second, first])
        assert (back.mean_w, back.margin_w) == pytest.approx((there.mean_w, there.margin_w))

    @given(traces(), st.floats(0.1, 10), st.floats(0.1, 10), st.floats(-1e4, 1e4))
    @few
    def test_units_and_the_zero_of_time_do_not_matter(self, drawn, watts, seconds, shift):
        samples, first, second = drawn

        def moved(time_s):
            return time_s * seconds + shift

        there = observe(samples, [first, second])
        back = observe(
            [Sample(moved(each.start_s), moved(each.end_s), each.total_w * watts, {}) for each in samples],
            [Window(moved(window.start_s), moved(window.end_s)) for window in (first, second)],
        )
        assert back.energy_j == pytest.approx(there.energy_j * watts * seconds, rel=1e-6)
        assert back.margin_w == pytest.approx(there.margin_w * watts, rel=1e-6)

    @given(traces())
    @few
    def test_the_mean_lies_among_the_readings(self, drawn):
        samples, first, second = drawn
        seen = observe(samples, [first, second])
        inside = [sample.total_w for sample, _ in seen.shares]
        assert min(inside) - 1e-9 <= seen.mean_w <= max(inside) + 1e-9
        assert seen.peak_w == max(inside)
        assert all(weight_s >= 0 for _, weight_s in seen.shares)
        assert seen.observed_s <= seen.duration_s + 1e-9


class TestWindows:
    def test_what_runs_between_the_windows_leaves_no_trace(self):
        windows = [Window(10 + 3 * i, 11 + 3 * i) for i in range(12)]

        def power_at(time):
            return 25.0 if any(window.start_s <= time <= window.end_s for window in windows) else 5.0

        seen = observe(read(power_at, every(0.3, 0.0, 50.0)), windows)
        assert seen.mean_w == pytest.approx(25.0)

    def test_a_reading_that_may_be_from_outside_does_not_count(self):
        window = Window(10.0, 20.0)
        samples = read(lambda time: 5.0 if 10.3 < time < 19.7 else 50.0, every(0.25, 5.0, 25.0), latency_s=0.3)
        assert observe(samples, [window]).peak_w == 5.0

    def test_windows_shorter_than_the_interval_are_represented_by_those_that_hold_a_reading(self):
        windows = [Window(10 + 0.7 * i, 10.2 + 0.7 * i) for i in range(60)]
        seen = observe(read(lambda time: 8.0, every(0.5, 0.0, 60.0)), windows)
        assert seen.mean_w == pytest.approx(8.0)
        assert seen.energy_j == pytest.approx(8.0 * 60 * 0.2)
        assert 0 < seen.empty_windows < 60
        assert seen.silent_s == 0

    def test_a_gap_in_the_readings_is_told_and_not_bridged(self):
        before = read(lambda time: 10.0, every(0.5, 0.0, 14.0))
        after = read(lambda time: 20.0, every(0.5, 20.0, 40.0))
        seen = observe([*before, *after], [Window(10.0, 26.0)])
        assert seen.silent_s == pytest.approx(6.0 - 2 * 0.75)
        assert seen.observed_s == pytest.approx(16.0 - seen.silent_s)
        assert seen.mean_w == pytest.approx((10.0 * 4.75 + 20.0 * 6.75) / 11.5)


class TestRefusals:
    def test_too_few_readings_and_what_would_do(self):
        samples = read(lambda time: 10.0, every(0.5, 0.0, 30.0))
        with pytest.raises(EnergyRefused, match=r"7 power readings .* set min_duration_ms to 8000"):
            observe(samples, [Window(10.1, 13.6)])

    def test_what_it_asks_for_is_enough(self):
        interval_s, windows = 0.5, 10
        each_s = needed_duration_s(interval_s, windows) / windows
        observe(
            read(lambda time: 10.0, every(interval_s, 0.0, 100.0), latency_s=0.1),
            [Window(5.13 + 3 * each_s * i, 5.13 + 3 * each_s * i + each_s) for i in range(windows)],
        )

    @pytest.mark.parametrize("samples", [[], [Sample(10.0, 10.0, 5.0, {})]])
    def test_none_or_a_single_reading(self, samples):
        with pytest.raises(EnergyRefused, match=r"no readings for 20\.0 s of the 20\.0 s"):
            observe(samples, [Window(0.0, 20.0)])

    def test_a_sensor_that_fell_silent(self):
        samples = read(lambda time: 10.0, every(0.5, 0.0, 15.0))
        with pytest.raises(EnergyRefused, match=r"no readings for 14\.2 s of the 20\.0 s"):
            observe(samples, [Window(10.0, 30.0)])

    def test_a_sensor_that_is_turned_off(self):
        with pytest.raises(EnergyRefused, match="no power at all"):
            observe(read(lambda time: 0.0, every(0.5, 0.0, 20.0)), [Window(0.0, 20.0)])

    def test_readings_of_one_moment(self):
        with pytest.raises(EnergyRefused):
            observe([Sample(10.0, 10.0, 5.0, {})] * 50, [Window(0.0, 20.0)])


def coverage(power_of, windows, interval_s, noise_w, trials=100):
    """Return how often the true mean lay within the margin, over traces with noise and readings at random phases."""
    rng = random.Random(7)
    hits = 0
    for _ in range(trials):
        power_at = power_of(rng)
        times = [windows[0].start_s - 2 + rng.random() * interval_s]
        while times[-1] < windows[-1].end_s + 2:
            # A real beat wanders. One that kept step with the power, or the rounds, would see one phase alone.
            times.append(times[-1] + interval_s * rng.gauss(1, 0.03))
        seen = observe(read(lambda time, at=power_at: at(time) + rng.gauss(0, noise_w), times), windows)
        count = 997 // len(windows)
        steps = [window.start_s + window.duration_s * (i + 0.5) / count for window in windows for i in range(count)]
        truth = math.fsum(power_at(time) for time in steps) / len(steps)
        hits += abs(seen.mean_w - truth) <= seen.margin_w
    return hits / trials


class TestErrorBar:
    def test_it_covers_noise_as_often_as_it_says(self):
        assert 0.90 <= coverage(lambda rng: lambda time: 20.0, [Window(5.0, 15.0)], 0.5, noise_w=1.0) <= 0.99

    def test_it_covers_noise_in_windows_that_take_turns(self):
        windows = [Window(5 + 0.83 * i, 5.3 + 0.83 * i) for i in range(60)]
        assert 0.90 <= coverage(lambda rng: lambda time: 20.0, windows, 0.5, noise_w=1.0) <= 0.99

    @pytest.mark.parametrize("period_s", [0.3, 1.7, 4.0])
    def test_it_covers_a_square_wave_slow_or_faster_than_the_readings(self, period_s):
        def square(rng):
            phase = rng.random() * period_s
            return lambda time: 10.0 if (time + phase) % period_s < period_s / 2 else 25.0

        assert coverage(square, [Window(5.0, 25.0)], 0.5, noise_w=0.0) >= 0.95

    def test_a_slow_drift_does_not_widen_it(self):
        samples = read(lambda time: 10 + time / 3, every(0.5, 0.0, 70.0))
        seen = observe(samples, [Window(5.0, 65.0)])
        assert seen.margin_w < 0.005 * seen.mean_w

    def test_times_that_may_all_be_off_widen_it_where_power_changes(self):
        exact, vague = (
            observe(read(lambda time: 10 + time, every(0.05, 0.0, 30.0), latency), [Window(5.0, 25.0)])
            for latency in (0.0, 0.2)
        )
        assert vague.latency_s == pytest.approx(0.2)
        # A line that is dated 0.2 s late reads 0.2 W too high.
        assert vague.margin_w == pytest.approx(math.hypot(exact.margin_w, 0.2), rel=0.05)


def test_rails_have_mean_and_peak():
    samples = [Sample(i, i, 3.0, {"CPU": 1.0, "GPU": 2.0 + (i == 5)}) for i in range(20)]
    samples.append(Sample(20, 20, 3.0, {"CPU": 1.0, "GPU": 2.0, "CV": 0.1}))
    seen = observe(samples, [Window(-0.5, 20.5)])
    assert seen.rails() == ["CPU", "GPU"]
    assert seen.rail_mean_w("GPU") == pytest.approx(2.0 + 1 / 21)
    assert seen.rail_peak_w("GPU") == 3.0
