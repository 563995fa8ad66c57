import pytest

from gdws_agent.first_run.checks.throttling import check_throttling
from gdws_agent.first_run.report import CheckFailed, CheckSkipped
from gdws_contract.measures import Flag
from gdws_contract.thermal import ClockSummary, TemperatureSummary, Thermal
from support.boards import Board, clocks_of
from support.first_run import SENSOR, canned_bench, figures_of, measured, sustained

SIGN = "cpu-throttle-alert held clocks down against heat (state 1)"


def bench(tmp_path, *, lowest_mhz=1377.0, signs=(), fixed=True, thermal=True, others=("CPU",), **fields):
    clocks = [ClockSummary(name="GPU", min_mhz=lowest_mhz, mean_mhz=1300.0, max_mhz=1377.0, limit_mhz=1377.0)]
    clocks += [ClockSummary(name=name, min_mhz=2265.0, mean_mhz=2265.0, max_mhz=2265.0) for name in others]
    seen = Thermal(
        readings=9,
        temperatures=[TemperatureSummary(name="GPU-therm", start_c=40.0, max_c=71.0, end_c=71.0)],
        clocks=clocks,
        throttled=bool(signs),
        throttling=list(signs),
    )
    cell = measured("dense", **{"sustained": sustained(seen if thermal else None), **fields})
    made = canned_bench(tmp_path, cells={"dense": cell}, sensors=[SENSOR])
    board = Board()
    board.gone = not fixed
    made.clocks = clocks_of(board, tmp_path / "clocks.json")
    return made


def test_a_board_that_keeps_its_clocks_is_fine(tmp_path):
    made = bench(tmp_path)
    outcome = check_throttling(made)
    assert outcome.status == "ok"
    assert figures_of(outcome)["at the end"] == 490.0
    assert outcome.tables[0].rows == [["GPU-therm", 40.0, 71.0, 71.0]]
    assert made.asked[0]["protocol"].sustained_ms > 0


def test_throttling_without_a_clock_that_fell_is_false(tmp_path):
    with pytest.raises(CheckFailed, match="no clock fell") as caught:
        check_throttling(bench(tmp_path, signs=[SIGN]))
    assert SIGN in caught.value.outcome.summary


def test_throttling_with_a_clock_that_fell_is_the_boards_own(tmp_path):
    outcome = check_throttling(bench(tmp_path, signs=[SIGN], lowest_mhz=900.0))
    assert outcome.status == "warning"
    assert "cooling" in outcome.advice[0]


def test_throttling_of_a_clock_that_is_not_shown_cannot_be_called_false(tmp_path):
    assert check_throttling(bench(tmp_path, signs=[SIGN], others=())).status == "warning"


def test_a_fixed_clock_that_fell_without_a_sign_is_a_failure(tmp_path):
    with pytest.raises(CheckFailed, match="fell by 35%"):
        check_throttling(bench(tmp_path, lowest_mhz=900.0))


def test_a_free_clock_may_fall(tmp_path):
    assert check_throttling(bench(tmp_path, lowest_mhz=900.0, fixed=False)).status == "ok"


def test_a_machine_that_shows_nothing_is_not_put_under_load(tmp_path):
    made = canned_bench(tmp_path)
    with pytest.raises(CheckSkipped):
        check_throttling(made)
    assert made.asked == []


def test_a_load_in_which_nothing_was_seen_tells_nothing(tmp_path):
    with pytest.raises(CheckSkipped):
        check_throttling(bench(tmp_path, thermal=False))


def test_a_load_that_broke_off_is_a_failure_with_its_reason(tmp_path):
    flag = Flag(code="sustained-failed", detail="the GPU is lost")
    with pytest.raises(CheckFailed) as caught:
        check_throttling(bench(tmp_path, sustained=None, flags=[flag]))
    assert caught.value.outcome.advice == ["the GPU is lost"]
