"""The table of the optimiser's goals says what was found, and decides by whole intervals."""

from __future__ import annotations

import pytest

from benchmarks.planning.goals import SUBJECTS, table
from support.optimisations import network, optimisation

COMMAND = "gdws optimize x --threads=2 --distill=240"
NAME = "mnist-preact-resnet"


def row(**changes: object) -> str:
    """The row of one answer; 2 times as fast is wanted."""
    goal = {"network": NAME, "machine": {}, "found": optimisation(**changes).model_dump(mode="json")}
    [found] = [line for line in table({COMMAND: goal}).splitlines() if line.startswith(f"| {NAME} |")]
    return found


@pytest.mark.parametrize(
    ("low", "high", "reached"), [(2.0, 2.2, "yes"), (1.9, 2.1, "as far as measured"), (1.6, 1.9, "no")]
)
def test_a_goal_is_reached_where_the_whole_interval_says_so(low: float, high: float, reached: str) -> None:
    assert SUBJECTS[NAME].wanted == 2.0
    best = network("aa", delivered=True).model_copy(update={"speedup_low": low, "speedup_high": high})
    cells = [cell.strip() for cell in row(networks=(best,)).split("|")]
    assert cells[3:7] == ["240", f"1.90 ({low:.2f} to {high:.2f})", "2", reached]
    assert cells[7:10] == ["+0.4 (-0.2 to +1.0) of 500"] * 2 + ["1.0 M"]


def test_a_declined_goal_is_told_with_its_reason() -> None:
    found = row(status="declined", reason="none is faster", networks=())
    assert "| dense is kept: none is faster | 2 | no |" in found
