import contextlib
from types import SimpleNamespace

import pytest

from gdws_agent.board.clocks import ClockState
from gdws_agent.errors import ClocksUnavailable
from gdws_agent.first_run.checks import clocks
from gdws_agent.first_run.checks.clocks import check_clocks
from gdws_agent.first_run.report import CheckFailed, CheckSkipped
from support.boards import Board, clocks_of
from support.first_run import canned_bench, figures_of


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(clocks.time, "sleep", lambda seconds: None)


def bench(tmp_path, board):
    made = canned_bench(tmp_path, connect_clocks=board.connect)
    made.clocks = clocks_of(board, tmp_path / "clocks.json")
    return made


def states(outcome):
    return {row[0]: tuple(row[1:]) for row in outcome.tables[0].rows}


def test_another_mode_and_fixed_clocks_are_set_held_and_given_back(tmp_path):
    board = Board("MODE_15W")
    outcome = check_clocks(bench(tmp_path, board))
    assert outcome.status == "ok"
    assert states(outcome) == {
        "found": ("MODE_15W", "free"),
        "set": ("MAXN", "fixed"),
        "later": ("MAXN", "fixed"),
        "given back": ("MODE_15W", "free"),
    }
    assert board.state == ClockState(power_mode="MODE_15W", jetson_clocks=False)
    assert not (tmp_path / "clocks.json").exists()
    assert figures_of(outcome)["power modes"] == "MAXN, MODE_10W, MODE_15W, MODE_30W"


def test_a_board_whose_other_modes_need_a_reboot_has_its_clocks_fixed_in_the_present(tmp_path):
    board = Board("MAXN", reboot_modes=("MODE_10W", "MODE_15W", "MODE_30W"))
    outcome = check_clocks(bench(tmp_path, board))
    assert outcome.status == "warning"
    assert states(outcome)["set"] == ("MAXN", "fixed")
    assert board.state == ClockState(power_mode="MAXN", jetson_clocks=False)


def test_a_mode_that_turns_out_to_need_a_reboot_is_passed_over(tmp_path):
    """As with a service before jetson-stats 4.3, which knows once the mode was tried."""
    board = Board("MODE_15W", reboot_modes=("MAXN", "MODE_10W"))
    made = bench(tmp_path, board)
    asked = []
    made.connect_clocks = lambda: contextlib.nullcontext(
        SimpleNamespace(power_modes=board.power_modes, needs_reboot=asked.append)
    )
    outcome = check_clocks(made)
    assert outcome.status == "ok"
    assert states(outcome)["set"] == ("MODE_30W", "fixed")
    assert board.state == ClockState(power_mode="MODE_15W", jetson_clocks=False)


def test_a_board_that_takes_no_notice_is_a_failure(tmp_path):
    board = Board("MODE_15W")
    board.deaf = True
    with pytest.raises(CheckFailed, match="the board has") as caught:
        check_clocks(bench(tmp_path, board))
    assert figures_of(caught.value.outcome)["power modes"]


def test_a_state_that_does_not_hold_is_a_failure_and_what_was_found_is_given_back(tmp_path, monkeypatch):
    board = Board("MODE_15W")

    def somebody_frees_the_clocks(seconds):
        board.state = board.state.model_copy(update={"jetson_clocks": False})

    monkeypatch.setattr(clocks.time, "sleep", somebody_frees_the_clocks)
    with pytest.raises(CheckFailed, match="did not hold"):
        check_clocks(bench(tmp_path, board))
    assert board.state == ClockState(power_mode="MODE_15W", jetson_clocks=False)


def test_what_a_killed_run_left_is_given_back_first(tmp_path):
    board = Board("MODE_15W")
    made = bench(tmp_path, board)
    made.clocks.take("MODE_30W", True)  # and the run is killed
    outcome = check_clocks(made)
    assert states(outcome)["found"] == ("MODE_15W", "free")
    assert board.state == ClockState(power_mode="MODE_15W", jetson_clocks=False)


def test_without_the_service_it_is_not_looked_at(tmp_path):
    board = Board()
    board.gone = True
    with pytest.raises(CheckSkipped, match="the service is gone") as caught:
        check_clocks(bench(tmp_path, board))
    assert caught.value.outcome.advice == ["start it"]


def test_clocks_are_fixed_while_something_is_measured_and_given_back_after_a_failure(tmp_path):
    board = Board("MODE_15W")
    made = bench(tmp_path, board)

    def measure_and_fail():
        with made.fixed_clocks() as state:
            seen.append((state.jetson_clocks, board.state.jetson_clocks))
            raise ZeroDivisionError

    seen = []
    with pytest.raises(ZeroDivisionError):
        measure_and_fail()
    assert seen == [(True, True)]
    assert board.state == ClockState(power_mode="MODE_15W", jetson_clocks=False)


def test_clocks_are_given_back_also_after_an_interrupt_while_they_are_fixed(tmp_path):
    board = Board("MODE_15W")
    made = bench(tmp_path, board)

    def interrupt_once_fixed():
        if board.asked == [{"jetson_clocks": True}] and board.state.jetson_clocks:
            board.on_look = lambda: None
            raise KeyboardInterrupt

    board.on_look = interrupt_once_fixed
    with pytest.raises(KeyboardInterrupt), made.fixed_clocks():
        pytest.fail("it was interrupted before")
    assert board.state == ClockState(power_mode="MODE_15W", jetson_clocks=False)


def test_where_clocks_cannot_be_fixed_it_is_measured_all_the_same(tmp_path):
    board = Board()
    board.gone = True
    with bench(tmp_path, board).fixed_clocks() as state:
        assert state == ClockState()


def test_clocks_that_cannot_be_given_back_are_heard_of(tmp_path):
    board = Board("MODE_15W")
    with pytest.raises(ClocksUnavailable), bench(tmp_path, board).fixed_clocks():
        board.gone = True
    assert (tmp_path / "clocks.json").exists()
