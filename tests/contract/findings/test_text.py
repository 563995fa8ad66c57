"""Figures as people read them."""

from __future__ import annotations

import pytest

from gdws_contract.findings import text
from gdws_contract.manifest import Attack


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, "–"), (0, "0"), (0.01234, "0.0123"), (1.234, "1.23"), (12.34, "12.3"), (999.6, "1,000"), (1234.5, "1,234")],
)
def test_significant(value: float | None, expected: str) -> None:
    assert text.significant(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, "–"), (7, "7"), (999, "999"), (694_634, "695 k"), (999_600, "1.00 M"), (1_298_000_000, "1.30 G")],
)
def test_scaled(value: float | None, expected: str) -> None:
    assert text.scaled(value) == expected


def test_an_unknown_is_a_dash_and_never_a_zero() -> None:
    formats = [text.milliseconds, text.whole, text.mebibytes, text.percent, text.points, text.ratio]
    assert {function(None) for function in formats} == {text.UNKNOWN}
    assert text.percent_interval(None) == text.ratio_interval(None) == text.attack_name(None) == text.UNKNOWN


def test_points_have_a_sign_unless_they_read_zero() -> None:
    assert [text.points(value) for value in (-0.44, 0.6, -0.04, 0.0)] == ["−0.4", "+0.6", "0.0", "0.0"]


def test_fewer_turns_round_when_there_is_more() -> None:
    assert text.fewer(1.5) == "1.50× fewer"
    assert text.fewer(0.5) == "2.00× more"
    assert text.fewer(None) == ""


def test_attack_settings() -> None:
    attack = Attack(name="pgd", norm="linf", eps=0.2, step=0.02, iterations=40, restarts=3, random_start=False)
    assert text.attack_name(attack) == "PGD-40"
    assert text.attack_settings(attack) == "PGD-40 (linf, eps 0.2, step 0.02, zero start, 3 restarts)"


def test_listed() -> None:
    assert [text.listed(list("abc")[:n]) for n in (1, 2, 3)] == ["a", "a and b", "a, b and c"]


def test_each_once_keeps_the_order_and_leaves_out_repetitions() -> None:
    assert text.each_once(["too slow", "too large", "too slow"]) == "too slow; too large"
    assert text.each_once([]) == ""
