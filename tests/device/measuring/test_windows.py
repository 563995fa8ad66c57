from __future__ import annotations

import gc
from collections.abc import Callable

import pytest

from gdws_agent.measuring import windows
from gdws_agent.measuring.windows import (
    SETTLE_INFERENCES,
    SETTLE_MAX_MS,
    no_garbage_collection,
    run_window,
    settle,
    warm_up,
)


class Clock:
    """Time that passes only in :meth:`step`, which takes the next of ``times_ms``, the last one for ever."""

    def __init__(self, times_ms: list[float]) -> None:
        self.now_ns = 5_000_000_000
        self.steps = 0
        self._times_ms = times_ms

    def step(self) -> None:
        self.now_ns += round(self._times_ms[min(self.steps, len(self._times_ms) - 1)] * 1e6)
        self.steps += 1

    def perf_counter_ns(self) -> int:
        return self.now_ns

    def monotonic(self) -> float:
        return self.now_ns / 1e9


@pytest.fixture
def at_times(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[float]], Clock]:
    def install(times_ms: list[float]) -> Clock:
        clock = Clock(times_ms)
        monkeypatch.setattr(windows, "time", clock)
        return clock

    return install


class TestRunWindow:
    def test_the_samples_are_the_steps_alone(self, at_times):
        clock = at_times([1.0, 2.0, 3.0, 4.0])
        window = run_window(clock.step, min_ms=10.0, min_count=1)
        assert list(window.samples_ns) == [1_000_000, 2_000_000, 3_000_000, 4_000_000]
        assert window.median_ms == 2.5
        assert window.end_s - window.start_s == pytest.approx(0.010)

    def test_it_goes_on_until_the_count_is_reached(self, at_times):
        clock = at_times([5.0])
        assert len(run_window(clock.step, min_ms=1.0, min_count=7).samples_ns) == 7

    def test_a_faster_step_gives_more_samples(self, at_times):
        counts = [len(run_window(at_times([ms]).step, min_ms=100.0, min_count=1).samples_ns) for ms in (1.0, 4.0)]
        assert counts == [100, 25]

    def test_at_least_once(self, at_times):
        assert len(run_window(at_times([1.0]).step, min_ms=0.0, min_count=0).samples_ns) == 1

    def test_what_a_step_raises_comes_through(self):
        def broken() -> None:
            raise RuntimeError("no")

        with pytest.raises(RuntimeError, match="no"):
            run_window(broken, min_ms=1.0, min_count=1)

    def test_the_summary_has_the_windows_figures(self, at_times):
        summary = run_window(at_times([2.0]).step, min_ms=6.0, min_count=1).summary(4)
        assert (summary.index, summary.count, summary.median_ms) == (4, 3, 2.0)
        assert summary.duration_s == pytest.approx(0.006)


class TestSettle:
    def test_a_fixed_number_when_fast(self, at_times):
        clock = at_times([1.0])
        settle(clock.step)
        assert clock.steps == SETTLE_INFERENCES

    def test_one_when_slow(self, at_times):
        clock = at_times([SETTLE_MAX_MS])
        settle(clock.step)
        assert clock.steps == 1


class TestWarmUp:
    def test_it_ends_when_three_windows_agree(self, at_times):
        clock = at_times([40.0] * 3 + [30.0] * 3 + [20.0])
        told: list[float] = []
        result = warm_up(clock.step, min_ms=0.0, max_ms=10_000.0, on_window=told.append)
        assert result.steady
        assert result.medians_ms == [40.0, 30.0, 20.0, 20.0, 20.0]
        assert told == result.medians_ms
        assert result.duration_ms == pytest.approx(390.0)

    def test_it_lasts_as_long_as_asked_even_when_steady(self, at_times):
        clock = at_times([10.0])
        assert warm_up(clock.step, min_ms=500.0, max_ms=1_000.0, on_window=lambda _: None).duration_ms >= 500.0

    def test_it_gives_up(self, at_times):
        clock = at_times([20.0 * 1.2**k for k in range(100)])
        result = warm_up(clock.step, min_ms=0.0, max_ms=2_000.0, on_window=lambda _: None)
        assert not result.steady
        assert result.duration_ms >= 2_000.0

    def test_nothing_is_run_when_nothing_is_asked(self, at_times):
        clock = at_times([1.0])
        assert not warm_up(clock.step, min_ms=0.0, max_ms=0.0, on_window=lambda _: None).steady
        assert clock.steps == 0

    def test_the_longer_of_the_two_limits_holds(self, at_times):
        clock = at_times([20.0 * 1.2**k for k in range(100)])
        assert warm_up(clock.step, min_ms=300.0, max_ms=100.0, on_window=lambda _: None).duration_ms >= 300.0


class TestGarbageCollection:
    def test_it_is_off_within_the_block_and_on_afterwards(self):
        assert gc.isenabled()

        def fail_within() -> None:
            with no_garbage_collection():
                assert not gc.isenabled()
                raise RuntimeError("out")

        with pytest.raises(RuntimeError, match="out"):
            fail_within()
        assert gc.isenabled()

    def test_it_stays_off_where_it_was(self):
        gc.disable()
        try:
            with no_garbage_collection():
                pass
            assert not gc.isenabled()
        finally:
            gc.enable()
