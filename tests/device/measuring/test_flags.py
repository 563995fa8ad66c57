import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdws_agent.measuring.environment import Activity
from gdws_agent.measuring.flags import latency_flags, machine_flags
from gdws_agent.measuring.windows import WarmUp

STEADY = WarmUp(True, 300.0, [1.0, 1.0, 1.0])


def codes(samples, medians, warm_up=STEADY):
    return [flag.code for flag in latency_flags(samples, medians, warm_up)]


def noise(count, spread, seed=0):
    rng = random.Random(seed)
    return [1 + spread * rng.random() for _ in range(count)]


@given(st.integers(0, 10_000))
@settings(deadline=None, max_examples=50)
def test_a_quiet_machine_raises_none(seed):
    assert codes(noise(500, 0.05, seed), noise(10, 0.03, seed + 1)) == []


def test_rare_outliers_raise_none():
    samples = [*noise(500, 0.05), 80.0, 50.0, 30.0]
    assert codes(samples, noise(10, 0.03)) == []


def test_not_steady():
    flags = list(latency_flags(noise(500, 0.05), noise(10, 0.03), WarmUp(False, 5012.3, [1.0, 2.0])))
    assert [flag.code for flag in flags] == ["not-steady"]
    assert "5012 ms" in flags[0].detail


def test_few_samples():
    assert codes([1.0] * 29, [1.0] * 10) == ["few-samples"]
    assert codes([1.0] * 30, [1.0] * 10) == []


def test_high_variation():
    assert codes([1.0, 2.0] * 100, noise(10, 0.03)) == ["high-variation"]


@pytest.mark.parametrize("factor", [1.02, 1 / 1.02])
def test_drift(factor):
    medians = [factor**k for k in range(10)]
    assert codes(noise(500, 0.05), medians) == ["drift"]


def test_a_small_drift_raises_none():
    assert codes(noise(500, 0.05), [1.001**k for k in range(10)]) == []


def test_rounds_that_jump_without_a_trend():
    assert codes(noise(500, 0.05), [1.0, 1.4] * 5) == ["unstable-rounds"]


def test_too_few_rounds_for_a_trend():
    assert codes(noise(500, 0.05), [1.0, 1.02, 1.04, 1.06]) == []


def test_one_sample_and_one_round():
    assert codes([1.0], [1.0]) == ["few-samples"]


@pytest.mark.parametrize(
    ("activity", "expected"),
    [
        (Activity(0.0, 0.0, None), []),
        (Activity(0.05, 0.01, 0), []),
        (Activity(0.2, 0.0, None), ["other-load"]),
        (Activity(0.0, 0.05, None), ["stolen-time"]),
        (Activity(0.0, 0.0, 3), ["throttled"]),
        (Activity(0.5, 0.1, 1), ["other-load", "stolen-time", "throttled"]),
    ],
)
def test_machine(activity, expected):
    assert [flag.code for flag in machine_flags(activity)] == expected
