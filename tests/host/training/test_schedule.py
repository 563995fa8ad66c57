"""The learning rate."""

import dataclasses
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdws.training import TrainSettings, learning_rate

SETTINGS = TrainSettings(net="mnist-preact-resnet")


@given(st.integers(1, 400))
def test_one_cycle_rises_then_falls(total):
    rates = [learning_rate(SETTINGS, step, total) for step in range(total)]
    assert all(0 < rate <= SETTINGS.learning_rate for rate in rates)
    top = rates.index(max(rates))
    assert all(a < b for a, b in itertools.pairwise(rates[: top + 1]))
    assert all(a > b for a, b in itertools.pairwise(rates[top:]))


def test_piecewise_falls_by_tens():
    settings = dataclasses.replace(SETTINGS, schedule="piecewise", learning_rate=0.1)
    rates = [learning_rate(settings, step, 200) for step in (0, 99, 100, 149, 150, 199)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])
