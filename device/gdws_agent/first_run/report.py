"""The report of a first run: one JSON document.

History of the schema:
    1   first version.
"""

from __future__ import annotations

from typing import Dict, List, Optional, Tuple, Union

from pydantic import Field
from typing_extensions import Literal

from gdws_contract.base import Finite, NonNegative, Reading

SCHEMA_VERSION = 1

#: ``warning``: it works, with something to know or to fix. ``skipped``: it was not checked; the report says why.
Status = Literal["ok", "warning", "failed", "skipped"]
STATUSES: Tuple[Status, ...] = ("failed", "warning", "ok", "skipped")

#: JSON has no NaN and no infinity: they are refused where the value is created.
Value = Union[bool, int, Finite, str, None]


class Figure(Reading):
    """One thing that was read or measured; ``value`` is null where it could not be."""

    name: str
    value: Value = None
    unit: Optional[str] = None


class Table(Reading):
    """Figures of one kind side by side; the names of the columns have units."""

    title: str
    columns: List[str]
    rows: List[List[Value]]


class Outcome(Reading):
    """What a check found: one sentence, its evidence, and what to do about a problem."""

    status: Status
    summary: str
    figures: List[Figure] = Field(default_factory=list)
    tables: List[Table] = Field(default_factory=list)
    advice: List[str] = Field(default_factory=list)
    log: List[str] = Field(default_factory=list, description="Lines of programs that were run, or a traceback.")


class CheckResult(Outcome):
    """One check of the run."""

    name: str
    title: str
    started_at: str = Field(description="UTC, ISO 8601.")
    duration_s: NonNegative
    limit_s: NonNegative


class Report(Reading):
    """The whole run. Names of people and machines, addresses and tokens are not in it."""

    schema_version: Literal[1] = 1
    tool: str = "gdws-agent first-run"
    version: str
    started_at: str = Field(description="UTC, ISO 8601.")
    duration_s: NonNegative
    complete: bool = Field(description="False: it was interrupted, and what was left is skipped.")
    quick: bool = Field(description="Measured for a shorter time: its figures are coarser.")
    simulated: bool = Field(description="The board, or a part of it, is simulated: nothing of that was measured.")
    device: Dict[str, Value] = Field(description="What the machine is.")
    checks: List[CheckResult]

    def count(self, status: Status) -> int:
        """Return how many checks ended with ``status``."""
        return sum(check.status == status for check in self.checks)


class CheckFailed(Exception):
    """A check found a problem; the outcome says which, and what to do."""

    def __init__(
        self,
        summary: str,
        *advice: str,
        figures: Optional[List[Figure]] = None,
        tables: Optional[List[Table]] = None,
        log: Optional[List[str]] = None,
    ) -> None:
        super().__init__(summary)
        self.outcome = Outcome(
            status=self.status,
            summary=summary,
            advice=list(advice),
            figures=figures or [],
            tables=tables or [],
            log=log or [],
        )

    status: Status = "failed"


class CheckSkipped(CheckFailed):
    """A check does not apply here, or lacks what it needs; it says what would be needed."""

    status: Status = "skipped"
