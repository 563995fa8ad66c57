"""Equal boards: spread and outliers."""

from __future__ import annotations

import random

import pytest

from gdws.results.report.fleet import FleetMeasurement
from gdws.results.report.fleet.boards import Standing, outliers
from gdws.results.report.fleet.facts import FleetFacts, fleet_facts
from support.fleet_results import board


def facts_of(*measured: FleetMeasurement) -> FleetFacts:
    return fleet_facts(measured, [])


def standing(facts: FleetFacts, device: str) -> Standing:
    [found] = [each for each in facts.standings if each.device == device]
    return found


def test_the_spread_is_the_slowest_board_over_the_fastest():
    facts = facts_of(board("a"), board("b", 1.04), board("c", 1.1))

    dense = facts.spreads[0]
    assert (dense.network, dense.boards, dense.fastest, dense.slowest) == ("dense", 3, "a", "c")
    assert dense.ratio is not None
    assert dense.ratio.value == pytest.approx(1.1)
    assert 1 < dense.ratio.low < 1.1 < dense.ratio.high
    assert dense.is_shown
    assert len(facts.spreads) == 3


def test_a_spread_within_the_intervals_is_not_shown():
    facts = facts_of(board("a", noise=10), board("b", 1.005, noise=10))

    assert not any(spread.is_shown for spread in facts.spreads)


def test_more_boards_make_the_interval_of_their_extremes_wider():
    two, many = (facts_of(*(board(f"b{i}", 1 + 0.01 * (i > 0)) for i in range(count))) for count in (2, 9))

    widths = [
        found.spreads[0].ratio.high - found.spreads[0].ratio.low for found in (two, many) if found.spreads[0].ratio
    ]
    assert widths[1] > 1.5 * widths[0]


def test_boards_of_another_kind_or_mode_are_not_equal():
    others = [board("b", l4t="35.4.1"), board("c", model="Jetson AGX Orin"), board("d", mode="MODE_15W")]

    facts = facts_of(board("a"), *others)

    assert facts.spreads == ()
    assert facts.standings == ()


def test_a_slow_board_stands_out_with_what_only_it_has():
    equal = [board(f"b{i}", 1 + 0.002 * i, environment={"cpu_governor": "performance"}) for i in range(4)]
    facts = facts_of(*equal, board("slow", 1.3, environment={"cpu_governor": "powersave"}))

    [found] = facts.odd
    assert (found.device, found.boards, found.cells) == ("slow", 5, 3)
    assert found.ratio.value == pytest.approx(1.3 / 1.004, rel=0.01)
    [peculiar] = facts.peculiarities["slow"]
    assert (peculiar.what, peculiar.own, peculiar.others) == ("cpu governor", "powersave", "performance")


def test_two_slow_boards_of_seven_do_not_hide_each_other():
    facts = facts_of(*(board(f"b{i}", 1 + 0.002 * i) for i in range(5)), board("x", 1.3), board("y", 1.31))

    assert {each.device for each in facts.odd} == {"x", "y"}


def test_a_fast_board_stands_out_too():
    facts = facts_of(*(board(f"b{i}", 1 + 0.002 * i) for i in range(5)), board("fast", 0.8))

    assert [each.device for each in facts.odd] == ["fast"]


def test_of_two_boards_neither_stands_out():
    facts = facts_of(board("a"), board("b", 2.0))

    assert facts.odd == ()
    assert standing(facts, "a").ratio.value == pytest.approx(1 / standing(facts, "b").ratio.value)


def test_boards_that_all_differ_have_no_odd_one():
    facts = facts_of(*(board(f"b{i}", 1 + 0.1 * i) for i in range(5)))

    assert facts.odd == ()
    assert all(spread.is_shown for spread in facts.spreads)


def test_a_board_whose_own_rounds_vary_as_much_does_not_stand_out():
    steady = [board(f"b{i}", 1 + 0.002 * i) for i in range(4)]

    assert [each.device for each in facts_of(*steady, board("x", 1.3)).odd] == ["x"]
    assert facts_of(*steady, board("x", 1.3, noise=400)).odd == ()


def test_a_median_that_is_known_to_nothing_has_no_outlier():
    assert outliers([1.0, 1.0, 1.0, 1.0]) == frozenset()
    assert outliers([1.0, 2.0]) == frozenset()


@pytest.mark.parametrize("count", [3, 5, 8, 15])
def test_chance_names_an_outlier_in_at_most_a_twentieth_of_groups(count: int):
    drawn = random.Random(7)
    groups = 400

    named = sum(bool(outliers([drawn.gauss(0, 1) for _ in range(count)])) for _ in range(groups))

    assert named <= 0.05 * groups + 3 * (0.05 * 0.95 * groups) ** 0.5
