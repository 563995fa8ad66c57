"""The parameters that several routes share, with validation and description."""

from __future__ import annotations

from typing import Optional

from fastapi import Header, Path, Query
from typing_extensions import Annotated

from gdws_contract.base import NAME_PATTERN, SHA256_PATTERN
from gdws_contract.queueing import IDEMPOTENCY_HEADER, LEASE_HEADER, MAX_IDEMPOTENCY_KEY
from gdws_contract.rest import JobState

MAX_WAIT_S = 3_600.0
#: What a lease id may look like; nothing else can be one.
_LEASE_PATTERN = r"^[A-Za-z0-9._-]{1,100}$"

Wait = Annotated[
    float,
    Query(
        ge=0, le=MAX_WAIT_S, description="Delay the response until the job has ended, for at most this many seconds."
    ),
]
Limit = Annotated[int, Query(ge=1, le=1_000, description="Maximum number of items.")]
Cursor = Annotated[
    Optional[str], Query(pattern=r"^[0-9]{1,18}$", description="The `next_cursor` of the previous page.")
]
State = Annotated[Optional[JobState], Query(description="List only jobs in this state.")]
IdempotencyKey = Annotated[
    Optional[str],
    Header(
        alias=IDEMPOTENCY_HEADER,
        min_length=1,
        max_length=MAX_IDEMPOTENCY_KEY,
        description="A text that is unique for each request: a repetition with the same key returns the same job.",
    ),
]
LeaseId = Annotated[
    Optional[str],
    Header(alias=LEASE_HEADER, pattern=_LEASE_PATTERN, description="The id returned by `POST /lease`."),
]
LastEventId = Annotated[
    Optional[str],
    Header(description="Id of the last event received; unknown ids are ignored."),
]
#: With 96 cells of 1,000 rounds, all but a hundredth of the answer.
Rounds = Annotated[bool, Query(description="false: leave out the rounds of each cell, which are most of the answer.")]
Verdicts = Annotated[bool, Query(description="true: include the verdict on each setting, as in its findings.")]
ModelId = Annotated[str, Path(pattern=SHA256_PATTERN, description="As `gdws inspect` prints it.")]
JobId = Annotated[str, Path(pattern=NAME_PATTERN)]
ComparedJob = Annotated[str, Query(pattern=NAME_PATTERN, description="The id of a job.")]


def number(cursor: Optional[str]) -> Optional[int]:
    """Return the number that ``cursor`` stands for in the store."""
    return None if cursor is None else int(cursor)


def cursor_text(cursor: Optional[int]) -> Optional[str]:
    """Return the cursor of an answer for that of the store."""
    return None if cursor is None else str(cursor)
