import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdws_agent.backends.build_choice import Trial, choose, spread, time_steps

TRIALS = st.lists(st.builds(Trial, st.floats(0.1, 100), st.floats(0.01, 100)), min_size=1, max_size=20)


@pytest.mark.parametrize(
    ("latencies", "kept"), [([3.0], 0), ([3.0, 1.0, 2.0], 2), ([4.0, 1.0, 3.0, 2.0], 3), ([1.0, 1.0, 1.0], 1)]
)
def test_the_median_is_kept(latencies, kept):
    assert choose([Trial(1.0, latency) for latency in latencies]) == kept


@settings(deadline=None, max_examples=50)
@given(TRIALS)
def test_as_many_are_slower_as_are_faster(trials):
    kept = trials[choose(trials)].median_ms
    faster = sum(trial.median_ms < kept for trial in trials)
    slower = sum(trial.median_ms > kept for trial in trials)
    assert faster <= (len(trials) - 1) // 2
    assert slower <= len(trials) // 2


@settings(deadline=None, max_examples=50)
@given(TRIALS.filter(lambda trials: len(trials) > 1))
def test_the_spread_holds_all(trials):
    found = spread(trials)
    assert found.count == len(trials)
    assert found.best_ms <= found.median_ms <= found.worst_ms
    assert found.median_ms in [trial.median_ms for trial in trials]
    assert found.build_times_s == [trial.build_time_s for trial in trials]


class _Clock:
    """Time that passes in steps alone; the first few take longer."""

    def __init__(self, slow, slow_s, fast_s):
        self.now, self.steps = 0.0, 0
        self._durations = itertools.chain([slow_s] * slow, itertools.repeat(fast_s))

    def step(self):
        self.now += next(self._durations)
        self.steps += 1

    def __call__(self):
        return self.now


def test_the_warm_up_does_not_count():
    clock = _Clock(slow=100, slow_s=0.002, fast_s=0.001)
    assert time_steps(clock.step, clock=clock) == pytest.approx(1.0)
    assert clock.steps == pytest.approx(100 + 500, abs=2)


def test_slow_steps_are_run_a_few_times_nonetheless():
    clock = _Clock(slow=0, slow_s=0, fast_s=10.0)
    assert time_steps(clock.step, clock=clock) == pytest.approx(10_000)
    assert clock.steps == 20
