import pytest

from gdws_agent.backends.base import DeviceTimes
from gdws_agent.measuring import device_times
from gdws_agent.measuring.device_times import INFERENCES, summarise, time_on_device


class Runtime:
    """Counts steps; the events tell which one they belong to."""

    def __init__(self):
        self.steps = 0

    def step(self):
        self.steps += 1

    def read(self):
        return DeviceTimes(h2d_ms=0.5, compute_ms=float(self.steps), d2h_ms=0.25)


def test_each_reading_is_of_a_step_of_its_own():
    runtime = Runtime()
    times = time_on_device(runtime.step, runtime.read)
    assert [each.compute_ms for each in times] == [float(number) for number in range(1, INFERENCES + 1)]


def test_slow_networks_are_run_once(monkeypatch):
    monkeypatch.setattr(device_times, "MAX_S", 0.0)
    runtime = Runtime()
    assert len(time_on_device(runtime.step, runtime.read)) == 1


def test_the_summary_is_of_each_part():
    summary = summarise([DeviceTimes(0.1, compute, 0.3) for compute in (1.0, 2.0, 6.0)])
    assert summary is not None
    assert summary.count == 3
    assert (summary.compute.min_ms, summary.compute.mean_ms, summary.compute.median_ms, summary.compute.max_ms) == (
        1.0,
        3.0,
        2.0,
        6.0,
    )
    assert summary.h2d.mean_ms == pytest.approx(0.1)
    assert summary.d2h.max_ms == 0.3


def test_without_times_there_is_no_summary():
    assert summarise([]) is None
