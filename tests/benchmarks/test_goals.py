"""The table of the optimiser's goals says what was found, and decides by whole intervals."""

from __future__ import annotations

import pytest

from benchmarks.planning.goals import SUBJECTS, table
from gdws_contract.optimisation import Rival
from support.optimisations import network, optimisation

COMMAND = "gdws optimize x --threads=2 --distill=240"
NAME = "mnist-preact-resnet"


def row(command: str = COMMAND, **changes: object) -> str:
    """The row of one answer; 2 times as fast is wanted on two threads."""
    goal = {"network": NAME, "machine": {}, "found": optimisation(**changes).model_dump(mode="json")}
    [found] = [line for line in table({command: goal}).splitlines() if line.startswith(f"| {NAME} |")]
    return found


@pytest.mark.parametrize(
    ("low", "high", "reached"), [(2.0, 2.2, "yes"), (1.9, 2.1, "as far as measured"), (1.6, 1.9, "no")]
)
def test_a_goal_is_reached_where_the_whole_interval_says_so(low: float, high: float, reached: str) -> None:
    assert SUBJECTS[NAME].wanted == 2.0
    best = network("aa", delivered=True).model_copy(update={"speedup_low": low, "speedup_high": high})
    cells = [cell.strip() for cell in row(networks=(best,)).split("|")]
    assert cells[3:8] == ["240", f"1.90 ({low:.2f} to {high:.2f})", "–", "2", reached]
    assert cells[8:11] == ["+0.4 (-0.2 to +1.0) of 500"] * 2 + ["1.0 M"]


def test_a_declined_goal_is_told_with_its_reason() -> None:
    found = row(status="declined", reason="none is faster", networks=())
    assert "| dense is kept: none is faster | | 2 | no |" in found


@pytest.mark.parametrize(("threads", "wanted", "reached"), [("1", "1.6", "as far as measured"), ("2", "1.4", "yes")])
def test_beside_int8_a_network_is_told_over_the_fastest_dense_form(threads: str, wanted: str, reached: str) -> None:
    best = network("aa", delivered=True).model_copy(update={"speedup_low": 4.0, "speedup_high": 4.4})
    rival = Rival(name="dense-int8", gain=1.7, gain_low=1.5, gain_high=1.9)
    command = f"gdws optimize x --threads={threads} --int8"
    cells = [cell.strip() for cell in row(command, networks=(best,), rival=rival).split("|")]
    assert cells[2].endswith("and INT8")
    assert cells[4] == "1.90 (4.00 to 4.40), in FP32"
    assert cells[5:8] == ["1.70 (1.50 to 1.90), dense-int8", wanted, reached]


def test_where_nothing_was_aimed_at_nothing_is_reached_or_missed() -> None:
    best = network("aa", delivered=True)
    cells = [cell.strip() for cell in row("gdws optimize x --threads=auto", networks=(best,)).split("|")]
    assert cells[6:8] == ["–", "–"]
