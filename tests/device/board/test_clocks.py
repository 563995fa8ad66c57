import contextlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdws_agent.board.clocks import ClockState
from gdws_agent.errors import (
    ClocksError,
    ClocksInterrupted,
    ClocksNotHeld,
    ClocksUnavailable,
    PowerModeNeedsReboot,
    PowerModeUnknown,
)
from support.boards import MODES, Board, clocks_of


@pytest.fixture
def board():
    return Board()


@pytest.fixture
def state_file(tmp_path):
    return tmp_path / "clocks.json"


@pytest.fixture
def clocks(board, state_file):
    return clocks_of(board, state_file)


def test_mode_and_clocks_are_set_and_later_restored(board, clocks, state_file):
    in_force = clocks.take("MODE_30W", True)
    assert in_force == board.state == ClockState(power_mode="MODE_30W", jetson_clocks=True)
    assert clocks.restore() is None
    assert board.state == ClockState(power_mode="MODE_15W", jetson_clocks=False)
    assert not state_file.exists()


def test_the_former_state_is_recorded_before_anything_is_changed(board, state_file):
    seen = []
    ask = board._ask
    board._ask = lambda **change: (seen.append(json.loads(state_file.read_text())["former"]), ask(**change))
    clocks_of(board, state_file).take("MAXN", None)
    assert seen == [{"power_mode": "MODE_15W", "jetson_clocks": False}]


def test_after_several_changes_the_first_state_is_still_recorded(board, clocks):
    for mode in ("MAXN", "MODE_30W", "MAXN"):
        assert clocks.take(mode, None).power_mode == mode
    clocks.restore()
    assert board.state.power_mode == "MODE_15W"


def test_a_mode_can_be_given_by_number(board, clocks):
    assert clocks.take(3, None).power_mode == "MODE_30W"


def test_none_or_the_present_state_changes_nothing(board, clocks, state_file):
    assert clocks.take(None, None) == board.state
    assert clocks.take("MODE_15W", False) == board.state
    assert board.asked == []
    assert not state_file.exists()


def test_clocks_are_freed_before_and_fixed_after_a_change_of_mode(state_file):
    board = Board(jetson_clocks=True)
    clocks = clocks_of(board, state_file)
    clocks.take("MAXN", False)
    clocks.restore()
    assert board.asked == [
        {"jetson_clocks": False},
        {"power_mode": "MAXN"},
        {"power_mode": "MODE_15W"},
        {"jetson_clocks": True},
    ]


@pytest.mark.parametrize(
    ("mode", "error", "message", "hint"),
    [
        ("MODE_10W", PowerModeNeedsReboot, "must reboot to enter power mode MODE_10W", "nvpmodel -m"),
        (1, PowerModeNeedsReboot, "MODE_10W", "after the reboot"),
        ("25W", PowerModeUnknown, "no power mode '25W'", "0 MAXN, 1 MODE_10W, 2 MODE_15W, 3 MODE_30W"),
        (4, PowerModeUnknown, "no power mode 4", "3 MODE_30W"),
        (-1, PowerModeUnknown, "no power mode -1", "0 MAXN"),
    ],
)
def test_an_impossible_mode_is_refused_and_nothing_changes(board, clocks, state_file, mode, error, message, hint):
    with pytest.raises(error, match=message) as caught:
        clocks.take(mode, True)
    assert hint in caught.value.hint
    assert board.asked == []
    assert not state_file.exists()


def test_a_mode_that_is_in_force_is_no_reason_to_reboot(state_file):
    assert clocks_of(Board(power_mode="MODE_10W"), state_file).take("MODE_10W", True).jetson_clocks


@pytest.mark.parametrize(
    ("board", "request_", "message"),
    [
        (Board(power_mode=None), ("MAXN", None), "no power modes"),
        (Board(jetson_clocks=None), (None, True), "jetson_clocks cannot be set"),
    ],
)
def test_a_board_without_modes_or_clocks_is_refused(board, request_, message, state_file):
    with pytest.raises(ClocksUnavailable, match=message):
        clocks_of(board, state_file).take(*request_)


def test_a_change_that_does_not_take_effect_is_an_error(board, clocks, state_file):
    board.deaf = True
    with pytest.raises(
        ClocksNotHeld, match=r"waited 20 s for power mode MAXN, but the board has power mode MODE_15W with"
    ):
        clocks.take("MAXN", None)
    assert state_file.exists()


def test_a_mode_that_turns_out_to_need_a_reboot(board, clocks):
    board.deaf = True
    board.needs_reboot = lambda mode: bool(board.asked)
    with pytest.raises(PowerModeNeedsReboot):
        clocks.take("MAXN", None)


def test_a_failed_restore_can_be_repeated(board, clocks, state_file):
    clocks.take("MAXN", None)
    board.fails_at = board.calls + 1
    with pytest.raises(ClocksUnavailable):
        clocks.restore()
    assert state_file.exists()
    assert clocks.restore() is None
    assert board.state.power_mode == "MODE_15W"


def test_a_state_that_somebody_else_chose_is_left_to_them(board, clocks, state_file):
    clocks.take("MAXN", None)
    board.state = ClockState(power_mode="MODE_30W", jetson_clocks=False)
    assert "another program" in clocks.restore()
    assert board.state.power_mode == "MODE_30W"
    assert not state_file.exists()


def test_a_record_that_cannot_be_removed_is_told(board, clocks, monkeypatch):
    clocks.take("MAXN", None)
    monkeypatch.setattr(Path, "unlink", lambda self: os.stat("/nonexistent"))
    with pytest.raises(ClocksUnavailable, match="are given back, but the record"):
        clocks.restore()
    assert board.state.power_mode == "MODE_15W"


def test_after_a_reboot_the_mode_alone_is_given_back(state_file):
    board = Board(jetson_clocks=True)
    clocks_of(board, state_file).take("MAXN", False)
    board.asked.clear()
    clocks_of(board, state_file, boot_id="second").restore()
    assert board.asked == [{"power_mode": "MODE_15W"}]


@pytest.mark.parametrize("text", ["", "{", '{"former": 3}', "\x00"])
def test_a_damaged_record_is_not_guessed_at(board, clocks, state_file, text):
    state_file.write_text(text)
    with pytest.raises(ClocksUnavailable, match="cannot be read") as caught:
        clocks.restore()
    assert "remove the file" in caught.value.hint
    with pytest.raises(ClocksUnavailable, match="cannot be read"):
        clocks.take("MAXN", None)
    assert board.asked == []


def test_without_a_record_nothing_is_changed(board, tmp_path):
    clocks = clocks_of(board, tmp_path / "missing" / "clocks.json")
    with pytest.raises(ClocksUnavailable, match="nothing was changed"):
        clocks.take("MAXN", None)
    assert board.asked == []


def test_waiting_for_a_mode_can_be_given_up_and_the_state_restored(board, clocks, state_file):
    asked = iter([False] * 4)
    with pytest.raises(ClocksInterrupted, match="power mode MAXN"):
        clocks.take("MAXN", None, give_up=lambda: next(asked, True))
    assert board.asked == [{"power_mode": "MAXN"}]
    assert clocks.is_taken()
    clocks.restore()
    assert board.state.power_mode == "MODE_15W"
    assert not clocks.is_taken()


@given(
    start=st.tuples(st.sampled_from(MODES), st.booleans()),
    wishes=st.lists(
        st.tuples(st.sampled_from([None, *MODES]), st.sampled_from([None, True, False])), min_size=1, max_size=4
    ),
    fails_at=st.integers(1, 60),
)
@settings(max_examples=150, deadline=None)
def test_whichever_call_it_dies_in_the_next_start_restores_the_state(tmp_path_factory, start, wishes, fails_at):
    state_file = tmp_path_factory.mktemp("clocks") / "clocks.json"
    board = Board(*start, reboot_modes=())
    found = board.state
    board.fails_at = fails_at
    with contextlib.suppress(ClocksError):
        for wish in wishes:
            clocks_of(board, state_file).take(*wish)
        clocks_of(board, state_file).restore()
    board.fails_at = None
    # What was asked for before the death may still come about, while the next life of the agent restores.
    clocks_of(board, state_file).restore()

    assert board.state == found
    assert not state_file.exists()
