"""Student's t quantile, against tables, exact forms and scipy."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdws_contract.findings.student_t import t_quantile

#: Of the smaller tail, as evenly spread over the decades as over the middle.
tails = st.floats(-6, math.log10(0.5)).map(lambda power: 10**power) | st.floats(1e-6, 0.5)
freedoms = st.floats(0, 4).map(lambda power: 10**power)
thorough = settings(deadline=None, max_examples=200)


@pytest.mark.parametrize(
    ("probability", "freedom", "value"),
    [  # tables
        (0.975, 1, 12.70620),
        (0.975, 2, 4.302653),
        (0.975, 9, 2.262157),
        (0.995, 4, 4.604095),
        (0.95, 30, 1.697261),
        (0.975, 1000, 1.962339),
        (0.025, 9, -2.262157),
        (0.5, 3, 0.0),
    ],
)
def test_tables(probability: float, freedom: float, value: float) -> None:
    assert t_quantile(probability, freedom) == pytest.approx(value, rel=1e-6, abs=1e-9)


@given(tails)
@thorough
def test_exact_forms_for_one_and_two_degrees_of_freedom(tail: float) -> None:
    assert t_quantile(tail, 1) == pytest.approx(-1 / math.tan(math.pi * tail), rel=1e-10, abs=1e-12)
    exact = (2 * tail - 1) / math.sqrt(2 * tail * (1 - tail))
    assert t_quantile(tail, 2) == pytest.approx(exact, rel=1e-10, abs=1e-12)


@given(tails, freedoms)
@thorough
def test_against_scipy(tail: float, freedom: float) -> None:
    student = pytest.importorskip("scipy.stats").t
    expected = float(student.ppf(tail, freedom))
    assert t_quantile(tail, freedom) == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert t_quantile(1 - tail, freedom) == pytest.approx(float(student.ppf(1 - tail, freedom)), rel=1e-9, abs=1e-12)


@given(st.floats(-100, -6).map(lambda power: 10**power), freedoms)
@thorough
def test_extreme_tails_hold_what_they_say(tail: float, freedom: float) -> None:
    student = pytest.importorskip("scipy.stats").t
    assert math.log(student.cdf(t_quantile(tail, freedom), freedom)) == pytest.approx(math.log(tail), rel=1e-9)


def test_without_end_it_is_the_normal_distribution() -> None:
    assert t_quantile(0.975, 1e9) == pytest.approx(1.959963984540054, rel=1e-8)


@pytest.mark.parametrize(
    ("probability", "freedom"),
    [(0.0, 3), (1.0, 3), (-0.1, 3), (1e-101, 3), (math.nan, 3), (0.975, 0.5), (0.975, math.inf), (0.975, math.nan)],
)
def test_outside_its_range_it_refuses(probability: float, freedom: float) -> None:
    with pytest.raises(ValueError, match="t quantile"):
        t_quantile(probability, freedom)
