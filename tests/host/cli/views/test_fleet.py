"""How far the devices of a sweep are, as a table and as lines."""

from __future__ import annotations

import pytest

from gdws.cli.views.fleet import LiveFleet, fleet_rows
from gdws.fleet.states import DeviceState, Phase, Tally

JOBS = {"orin": 4}


def state(phase: Phase, **fields: object) -> DeviceState:
    tally = Tally(jobs=1, cells=6, failed_cells=1, not_measured={"b": "no backend"})
    return DeviceState.model_validate({"phase": phase, "tally": tally, **fields})


@pytest.mark.parametrize(
    ("shown", "row"),
    [
        (
            state(Phase.MEASURING, job="a", job_cells=2, job_cells_total=8),
            ["orin", "measuring", "1/4", "8 (1 failed)", "a 2/8", "1 not measured"],
        ),
        (
            state(Phase.RETRYING, job="a", reason="away", next_try="2026-01-02T03:04:05Z"),
            ["orin", "retrying", "1/4", "6 (1 failed)", "a 0/?", "away; next try at 03:04:05Z"],
        ),
        (
            state(Phase.SET_ASIDE, job="a", reason="away"),
            ["orin", "set aside", "1/4", "6 (1 failed)", "-", "away"],
        ),
        (DeviceState(), ["orin", "waiting", "0/4", "0", "-", "-"]),
    ],
)
def test_a_row_tells_the_state_the_counts_and_the_reason(shown: DeviceState, row: list[str]) -> None:
    assert fleet_rows({"orin": shown}, JOBS) == [row]


def test_without_a_terminal_each_change_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with LiveFleet(JOBS, quiet=False) as live:
        for shown in (DeviceState(), DeviceState(), state(Phase.RETRYING, reason="\x1b[31maway")):
            live.show({"orin": shown})
    first, second = capsys.readouterr().err.splitlines()
    assert first == "orin: waiting, 0 of 4 jobs, 0 cells"
    assert second.startswith("orin: retrying: ")
    assert "\x1b" not in second


def test_quiet_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with LiveFleet(JOBS, quiet=True) as live:
        live.show({"orin": DeviceState()})
    assert capsys.readouterr().err == ""
