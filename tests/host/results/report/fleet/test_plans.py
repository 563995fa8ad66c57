"""The network for the worst and for the median board."""

from __future__ import annotations

import pytest

from gdws.results.report.fleet import FleetMeasurement
from gdws.results.report.fleet.facts import fleet_facts
from gdws.results.report.fleet.plans import Plans
from support.benchmark_results import CUT, DENSE, KEPT, SLOW, Net, parity_failed_cell
from support.fleet_results import board, scaled, with_cell

OTHER = Net("other", median_ms=1.6)
UNKNOWN = Net("unknown", median_ms=0.5, natural=None, robust=None)


def plans(*measured: FleetMeasurement) -> Plans:
    [found] = fleet_facts(measured, []).plans
    return found


def slowed(measured: FleetMeasurement, variant: str, factor: float) -> FleetMeasurement:
    [cell] = [each for each in measured.result.job.cells if each.key.variant == variant]
    return with_cell(measured, variant, scaled(cell, factor))


def test_a_network_that_is_fast_on_most_boards_may_not_be_the_one_for_the_worst():
    nets = (DENSE, KEPT, OTHER)
    boards = [board("a", nets=nets), board("b", nets=nets), slowed(board("c", nets=nets), "mean-rank-4", 1.2)]

    found = plans(*boards)

    assert found.for_worst is not None
    assert found.for_median is not None
    assert (found.for_worst.network, found.for_worst.median_ms) == ("other", pytest.approx(1.6))
    assert (found.for_worst.runner_up, found.for_worst.runner_up_ms) == ("mean-rank-4", pytest.approx(1.8))
    assert (found.for_median.network, found.for_median.median_ms) == ("mean-rank-4", pytest.approx(1.5))
    assert found.for_median.device is None


def test_the_gain_on_the_worst_board_is_paired_round_by_round():
    found = plans(board("a"), board("b", 2.0)).for_worst

    assert found is not None
    assert (found.network, found.device, found.runner_up) == ("mean-rank-4", "b", "dense")
    assert found.gain is not None
    assert found.gain.value == pytest.approx(4 / 3)
    assert found.is_shown


def test_a_gain_that_noise_may_have_made_is_not_shown():
    near = Net("near", median_ms=1.501)
    boards = [board(f"b{i}", nets=(DENSE, KEPT, near)) for i in range(3)]
    boards[1] = slowed(boards[1], "near", 0.999)
    boards[2] = slowed(boards[2], "near", 1.002)

    found = plans(*boards).for_median

    assert found is not None
    assert found.gain is not None
    assert not found.is_shown


def test_networks_that_lose_accuracy_or_whose_accuracy_is_unknown_do_not_count():
    found = plans(*(board(name, nets=(DENSE, CUT, SLOW, UNKNOWN)) for name in ("a", "b")))

    assert found.for_worst is not None
    assert found.for_worst.network == "dense"
    left_out = dict(found.left_out)
    assert left_out["mean-rank-1"].startswith("it loses accuracy: robust accuracy 40.2 %")
    assert left_out["unknown"].startswith("its accuracy is not known")


def test_a_network_that_one_board_did_not_time_does_not_count():
    broken = with_cell(board("b"), "mean-rank-4", parity_failed_cell(KEPT, 1))

    found = plans(board("a"), broken)

    assert found.for_worst is not None
    assert found.for_worst.network == "dense"
    assert ("mean-rank-4", "not timed on b") in found.left_out


def test_without_a_network_that_all_boards_timed_there_is_no_choice():
    first = with_cell(board("a", nets=(DENSE, KEPT)), "dense", parity_failed_cell(DENSE, 1))
    second = with_cell(board("b", nets=(DENSE, KEPT)), "mean-rank-4", parity_failed_cell(KEPT, 1))

    found = plans(first, second)

    assert (found.for_worst, found.for_median) == (None, None)
    assert found.reason == "no network that keeps the baseline's accuracy was timed on all 2 boards"


def test_where_nothing_was_timed_the_reason_says_so():
    failed = with_cell(board("a", nets=(DENSE,)), "dense", parity_failed_cell(DENSE, 1))

    assert plans(failed).reason == "no network that keeps the baseline's accuracy was timed"
