from array import array

import pytest

from gdws_agent.measuring.sustained import WINDOWS, run_sustained, summarise_sustained
from gdws_agent.measuring.windows import Window
from gdws_agent.power.thermal import Conditions


def window(start_s, end_s, count):
    return Window(start_s, end_s, array("q", [1] * count))


def test_burst_is_the_first_tenth_and_sustained_the_last_fifth():
    counts = [100, 100, *[70] * 14, 50, 50, 50, 50]
    windows = [window(10.0 + i, 11.0 + i, count) for i, count in enumerate(counts)]

    summary = summarise_sustained(windows, 4, [])

    assert (summary.duration_s, summary.burst_fps, summary.sustained_fps) == (20.0, 400.0, 200.0)
    assert summary.thermal is None


def test_windows_that_miss_their_boundaries_by_one_inference_are_still_two_and_four():
    counts = [100, 100, *[70] * 14, 50, 50, 50, 50]
    for late_s in (-0.02, 0.0, 0.02):
        edges = [i + late_s * (0 < i < WINDOWS) for i in range(WINDOWS + 1)]
        windows = [window(start, end, count) for start, end, count in zip(edges, edges[1:], counts)]
        summary = summarise_sustained(windows, 1, [])
        assert summary.burst_fps == pytest.approx(100, rel=0.02)
        assert summary.sustained_fps == pytest.approx(50, rel=0.02)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_slow_networks_have_few_windows(count):
    windows = [window(float(i), i + 1.0, 10 - i) for i in range(count)]
    summary = summarise_sustained(windows, 1, [])
    assert (summary.burst_fps, summary.sustained_fps) == (10.0, 11.0 - count)


def test_the_heat_of_this_time_is_told():
    seen = [Conditions(0.0, temperatures_c={"GPU": 40.0}), Conditions(1.0, temperatures_c={"GPU": 70.0})]
    summary = summarise_sustained([window(0.0, 1.0, 5)], 1, seen)
    assert summary.thermal is not None
    assert summary.thermal.temperatures[0].end_c == 70.0


def test_it_runs_for_as_long_as_asked_and_tells_each_window():
    told = []
    windows = run_sustained(lambda: None, 20.0, told.append)
    assert told == windows
    assert windows[-1].end_s - windows[0].start_s >= 0.02
    assert all(before.end_s <= after.start_s for before, after in zip(windows, windows[1:]))


def test_at_least_one_inference_is_run():
    (only,) = run_sustained(lambda: None, 1e-6, lambda window: None)
    assert len(only.samples_ns) >= 1
