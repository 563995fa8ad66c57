"""What came of one job of a device."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gdws.device.benchmark import failure
from gdws.fleet.states import Tally
from gdws.fleet.trouble import identity
from gdws_contract.base import Record
from gdws_contract.rest import BenchmarkResult


class Outcome(Record):
    """The end of a job. ``state`` is the job's at the agent, or that the job or the whole device was left."""

    state: Literal["done", "failed", "cancelled", "interrupted", "job refused", "set aside"]
    reason: str | None = None
    cells: int = 0
    failed_cells: int = 0
    identity: dict[str, str] = Field(default_factory=dict)


def outcome_of(result: BenchmarkResult, url: str) -> Outcome:
    """The outcome of a job that has ended."""
    state = result.job.state
    assert state not in ("queued", "running")
    error = failure(result, url)
    cells = result.job.cells
    return Outcome(
        state=state,
        reason=None if error is None else error.message,
        cells=len(cells),
        failed_cells=sum(cell.state != "done" for cell in cells),
        identity=identity(result.device),
    )


def counted(tally: Tally, job: str, outcome: Outcome) -> Tally:
    """``tally`` with one more job."""
    missing = {} if outcome.state == "done" else {job: outcome.reason or outcome.state}
    return Tally(
        jobs=tally.jobs + 1,
        cells=tally.cells + outcome.cells,
        failed_cells=tally.failed_cells + outcome.failed_cells,
        not_measured={**tally.not_measured, **missing},
    )
