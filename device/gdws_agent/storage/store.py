"""The store of bundles, jobs and cells.

Records are stored as the JSON of their models; columns exist for what is searched, ordered or summed, and for the
rounds of a cell, which are most of its JSON and of use to few who look at it.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

from pydantic import TypeAdapter

from gdws_agent.errors import JobNotFound
from gdws_agent.requests.estimate import bounded_pace, planned_s
from gdws_agent.requests.groups import count_cells
from gdws_agent.requests.turns import Waiting
from gdws_agent.timestamps import utc_now
from gdws_contract.attacks import AttackedImage
from gdws_contract.manifest import Manifest
from gdws_contract.problems import Problem
from gdws_contract.rest import BenchmarkRequest, Cell, CellKey, Job, JobState, ModelInfo

from .checks import NO_TICKET, Ticket, no_model, refuse_if_full, refuse_if_used, same_key
from .database import Database
from .rows import JobText, cell_text, cut, job_from, one_more, split_cell

_IMAGES = TypeAdapter(List[AttackedImage])
#: Beyond any sequence number.
_NEWEST = 2**62
#: Number of recent jobs for estimating the pace.
_PACE_JOBS = 20


class Page(NamedTuple):
    """Some jobs, newest first, and where the next page begins; None: nowhere."""

    jobs: List[Job]
    next_cursor: Optional[int]


class ModelPage(NamedTuple):
    """Some bundles, newest first, and where the next page begins; None: nowhere."""

    models: List[ModelInfo]
    next_cursor: Optional[int]


class Store:
    """The records of one agent. All methods may be called from any thread.

    Every method raises StorageFull or another StorageFailed when the disk does not serve; then nothing was changed.
    """

    def __init__(self, path: Path) -> None:
        """Open or create the store at ``path``; raises as :class:`~gdws_agent.storage.database.Database` does."""
        self.database = Database(path)
        with self.database.reading() as connection:
            self._age_before_s = float(connection.execute("SELECT age_s FROM ages").fetchone()[0])
        self._opened_s = time.monotonic()
        self._waiting: List[Waiting] = []
        self._waiting_at: Optional[int] = None  # the version of the data of which that list is

    def close(self) -> None:
        """Close the database; no other method may be called then."""
        self.database.close()

    # Time

    def age_s(self) -> float:
        """Return for how long agents have run on this store, in seconds.

        What is kept for some time is kept by this clock: that of the day jumps when a board without a battery
        learns the time.
        """
        return self._age_before_s + time.monotonic() - self._opened_s

    def save_age(self) -> None:
        """Store the age; to be called now and then, since what was not stored is forgotten when the agent dies."""
        with self.database.writing() as connection:
            connection.execute("UPDATE ages SET age_s = ?", (self.age_s(),))

    # Bundles

    def add_model(self, info: ModelInfo, document: Mapping[str, Any]) -> bool:
        """Store a bundle's record, mark it as used, and return whether it is new.

        ``document`` is its manifest as it is written, of any schema that this release reads.
        """
        row = (info.id, info.model_copy(update={"manifest": None}).model_dump_json(), json.dumps(document))
        with self.database.writing() as connection:
            cursor = connection.execute(
                "INSERT OR IGNORE INTO models (id, info, manifest, created_at) VALUES (?, ?, ?, ?)",
                (*row, info.created_at),
            )
            is_new = cursor.rowcount == 1
            self._mark_used(connection, info.id)
        return is_new

    def models(self) -> List[ModelInfo]:
        """Return all bundles without their manifests, newest first."""
        return self.model_page(-1).models

    def model_page(self, limit: int, before: Optional[int] = None) -> ModelPage:
        """Return at most ``limit`` bundles without their manifests, newest first, older than the cursor ``before``.

        A negative ``limit`` is none.
        """
        with self.database.reading() as connection:
            rows = connection.execute(
                "SELECT rowid AS sequence, info FROM models WHERE rowid < ? ORDER BY rowid DESC LIMIT ?",
                (_NEWEST if before is None else before, one_more(limit)),
            ).fetchall()
        rows, cursor = cut(rows, limit)
        return ModelPage([ModelInfo.model_validate_json(row["info"]) for row in rows], cursor)

    def model(self, model_id: str) -> ModelInfo:
        """Return a bundle with its manifest.

        Raises:
            ModelNotFound: there is none of that id.
        """
        with self.database.reading() as connection:
            row = connection.execute("SELECT info, manifest FROM models WHERE id = ?", (model_id,)).fetchone()
        if row is None:
            raise no_model(model_id)
        info = ModelInfo.model_validate_json(row["info"])
        return info.model_copy(update={"manifest": Manifest.model_validate_json(row["manifest"])})

    def manifest(self, model_id: str) -> Manifest:
        """Return the manifest of a bundle; raises as :meth:`document`."""
        return Manifest.model_validate(self.document(model_id))

    def document(self, model_id: str) -> Dict[str, Any]:
        """Return the manifest of a bundle as it is written.

        Raises:
            ModelNotFound: there is none of that id.
        """
        with self.database.reading() as connection:
            row = connection.execute("SELECT manifest FROM models WHERE id = ?", (model_id,)).fetchone()
        if row is None:
            raise no_model(model_id)
        found: Dict[str, Any] = json.loads(row["manifest"])
        return found

    def remove_model(self, model_id: str) -> None:
        """Forget a bundle.

        Raises:
            ModelNotFound: there is none of that id.
            ModelInUse: a job that has not ended needs it.
        """
        with self.database.writing() as connection:
            refuse_if_used(connection, model_id)
            if connection.execute("DELETE FROM models WHERE id = ?", (model_id,)).rowcount == 0:
                raise no_model(model_id)

    def check_unused(self, model_id: str) -> None:
        """Raise ModelInUse when a job that has not ended needs the bundle. Takes no space on the disk."""
        with self.database.reading() as connection:
            refuse_if_used(connection, model_id)

    # Jobs

    def add_job(self, request: BenchmarkRequest, ticket: Ticket = NO_TICKET, *, limit: Optional[int] = None) -> Job:
        """Append a job with a resolved ``request`` and return it, or that of the same idempotency key, without cells.

        Raises:
            ModelNotFound: the bundle is not there (any more).
            IdempotencyKeyReused: the key came before, with another request.
            QueueFull: ``limit`` jobs wait already.
        """
        job_id = secrets.token_hex(6)
        with self.database.writing() as connection:
            known = same_key(connection, ticket)
            if known is None:
                refuse_if_full(connection, limit)
                cursor = connection.execute(
                    "INSERT INTO jobs (id, model_id, state, request, cells_total, created_at, priority, planned_s,"
                    " lease_id, lease_holder, idempotency_key, idempotency_digest)"
                    " SELECT ?, id, 'queued', ?, ?, ?, ?, ?, ?, ?, ?, ? FROM models WHERE id = ?",
                    (
                        *(job_id, request.model_dump_json(), count_cells(request), utc_now()),
                        *(request.priority, planned_s(request), *ticket, request.model_id),
                    ),
                )
                if cursor.rowcount == 0:
                    raise no_model(request.model_id)
                self._mark_used(connection, request.model_id)
        return self.outline(known or job_id)

    def job_of_key(self, ticket: Ticket) -> Optional[Job]:
        """Return the job that came before with the same idempotency key and request, without cells; None: none did.

        Raises:
            IdempotencyKeyReused: the key came before, with another request.
        """
        with self.database.reading() as connection:
            known = same_key(connection, ticket)
        return None if known is None else self.outline(known)

    def job(self, job_id: str) -> Job:
        """Return a job with its cells; raises JobNotFound."""
        job, cells = self.text(job_id)
        return job.model_copy(update={"cells": [Cell.model_validate_json(cell) for cell in cells]})

    def outline(self, job_id: str) -> Job:
        """Return a job without its cells; raises JobNotFound."""
        for job in self.jobs_of([job_id]):
            return job
        raise _no_job(job_id)

    def text(self, job_id: str, *, rounds: bool = True, after: int = 0) -> JobText:
        """Return a job and the JSON of its cells behind the first ``after``, with their ``rounds`` or without.

        The cells are not looked at, so this takes little time however large they are.

        Raises:
            JobNotFound: there is none of that id.
        """
        chosen = "CAST(rounds AS BLOB)" if rounds else "CASE WHEN rounds IS NULL THEN NULL ELSE x'' END"
        with self.database.reading() as connection:
            row = connection.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone()
            cells = connection.execute(
                f"SELECT CAST(cell AS BLOB), {chosen} FROM cells WHERE job_id = ? ORDER BY sequence LIMIT -1 OFFSET ?",
                (job_id, after),
            ).fetchall()
        if row is None:
            raise _no_job(job_id)
        return JobText(job_from(row, []), [cell_text(*cell, with_rounds=rounds) for cell in cells])

    def jobs(self, limit: int, before: Optional[int] = None, state: Optional[JobState] = None) -> Page:
        """Return at most ``limit`` jobs without their cells, newest first, older than the cursor ``before``."""
        chosen = "" if state is None else "state = ? AND "
        with self.database.reading() as connection:
            rows = connection.execute(
                f"SELECT * FROM jobs WHERE {chosen}sequence < ? ORDER BY sequence DESC LIMIT ?",
                (*([] if state is None else [state]), _NEWEST if before is None else before, one_more(limit)),
            ).fetchall()
        rows, cursor = cut(rows, limit)
        return Page([job_from(row, []) for row in rows], cursor)

    def jobs_of(self, job_ids: Sequence[str]) -> List[Job]:
        """Return those of ``job_ids`` that exist, without their cells, in that order."""
        marks = ", ".join("?" for _ in job_ids)
        with self.database.reading() as connection:
            rows = connection.execute(f"SELECT * FROM jobs WHERE id IN ({marks})", tuple(job_ids)).fetchall()
        found = {row["id"]: job_from(row, []) for row in rows}
        return [found[job_id] for job_id in job_ids if job_id in found]

    def waiting(self) -> List[Waiting]:
        """Return the jobs that wait, the first of the highest priority first; the same list until something changes."""
        with self.database.reading() as connection:
            version = connection.execute("PRAGMA data_version").fetchone()[0]
            if version != self._waiting_at:
                rows = connection.execute(
                    "SELECT id, planned_s, lease_id FROM jobs WHERE state = 'queued' ORDER BY priority DESC, sequence"
                ).fetchall()
                self._waiting = [Waiting(row["id"], row["planned_s"], row["lease_id"]) for row in rows]
                self._waiting_at = version
            return self._waiting

    def pace(self) -> float:
        """Return the time over the planned time of the last jobs that were done; 1 when there are none."""
        with self.database.reading() as connection:
            run_s, planned = connection.execute(
                "SELECT TOTAL(run_s), TOTAL(planned_s) FROM"
                " (SELECT run_s, planned_s FROM jobs WHERE state = 'done' ORDER BY sequence DESC LIMIT ?)",
                (_PACE_JOBS,),
            ).fetchone()
        return bounded_pace(run_s, planned)

    def count_queued(self) -> int:
        """Return the number of jobs that wait."""
        with self.database.reading() as connection:
            return int(connection.execute("SELECT COUNT(*) FROM jobs WHERE state = 'queued'").fetchone()[0])

    def begin_next(self, lease_id: Optional[str] = None) -> Optional[Job]:
        """Mark the next job as running and return it; None when there is none.

        A job that is already marked as running goes first: it is one that an earlier agent did not end. Then those
        that wait, by priority and age; with ``lease_id``, only those that were sent under that lease.
        """
        with self.database.writing() as connection:
            row = connection.execute(
                "SELECT id FROM jobs WHERE state = 'running' OR (state = 'queued' AND (? IS NULL OR lease_id = ?))"
                " ORDER BY state = 'queued', priority DESC, sequence LIMIT 1",
                (lease_id, lease_id),
            ).fetchone()
            if row is None:
                return None
            connection.execute(
                "UPDATE jobs SET state = 'running', started_at = COALESCE(started_at, ?) WHERE id = ?",
                (utc_now(), row["id"]),
            )
        return self.job(row["id"])

    def requeue(self, job_id: str) -> None:
        """Put a running job back to its place in the queue, its cells kept."""
        with self.database.writing() as connection:
            connection.execute("UPDATE jobs SET state = 'queued' WHERE id = ? AND state = 'running'", (job_id,))

    def finish(self, job_id: str, state: JobState, error: Optional[Problem] = None) -> None:
        """End a running job."""
        problem = None if error is None else error.model_dump_json()
        with self.database.writing() as connection:
            self._end(connection, job_id, state, problem, "running")

    def cancel_queued(self, job_id: str) -> bool:
        """Cancel a job if it waits, and return whether it did."""
        with self.database.writing() as connection:
            return self._end(connection, job_id, "cancelled", None, "queued")

    # Cells

    def add_cell(self, job_id: str, cell: Cell, run_s: Optional[float] = None) -> None:
        """Store a finished cell; one that was there for the same key is replaced. ``run_s`` is the job's time so far.

        A cell that ended shows that the job gets on, so its count of interruptions starts anew.
        """
        with self.database.writing() as connection:
            connection.execute(
                "REPLACE INTO cells (job_id, key, cell, rounds) VALUES (?, ?, ?, ?)",
                (job_id, cell.key.model_dump_json(), *split_cell(cell)),
            )
            connection.execute(
                "DELETE FROM attacked WHERE job_id = ? AND key = ?", (job_id, cell.key.model_dump_json())
            )
            connection.execute(
                "UPDATE jobs SET interruptions = 0, run_s = COALESCE(?, run_s),"
                " cells_finished = (SELECT COUNT(*) FROM cells WHERE job_id = jobs.id),"
                " cells_bytes = (SELECT TOTAL(LENGTH(cell) + COALESCE(LENGTH(rounds), 0)) FROM cells"
                " WHERE job_id = jobs.id) WHERE id = ?",
                (run_s, job_id),
            )

    def add_attacked(self, job_id: str, key: CellKey, images: Sequence[AttackedImage], run_s: float) -> None:
        """Store images that an attack is done with, until its cell ends; they show that the job gets on."""
        with self.database.writing() as connection:
            connection.execute(
                "INSERT INTO attacked (job_id, key, images) VALUES (?, ?, ?)",
                (job_id, key.model_dump_json(), _IMAGES.dump_json(list(images)).decode()),
            )
            connection.execute("UPDATE jobs SET interruptions = 0, run_s = ? WHERE id = ?", (run_s, job_id))

    def attacked(self, job_id: str) -> Dict[CellKey, List[AttackedImage]]:
        """Return the images that the attacks of a job are done with, for each cell that has not ended."""
        with self.database.reading() as connection:
            rows = connection.execute(
                "SELECT key, images FROM attacked WHERE job_id = ? ORDER BY sequence", (job_id,)
            ).fetchall()
        found: Dict[CellKey, List[AttackedImage]] = {}
        for row in rows:
            key = CellKey.model_validate_json(row["key"])
            found.setdefault(key, []).extend(_IMAGES.validate_json(row["images"]))
        return found

    # Interruptions

    def count_interruptions(self) -> List[str]:
        """Count one more interruption for each job that is marked as running, and return their ids.

        To be called once when the agent starts: an agent that stops in order leaves no job running.
        """
        with self.database.writing() as connection:
            connection.execute("UPDATE jobs SET interruptions = interruptions + 1 WHERE state = 'running'")
            return [row["id"] for row in connection.execute("SELECT id FROM jobs WHERE state = 'running'")]

    def interruptions(self, job_id: str) -> int:
        """Return how often in a row the agent died while it measured this job and no cell of it ended."""
        with self.database.reading() as connection:
            row = connection.execute("SELECT interruptions FROM jobs WHERE id = ?", (job_id,)).fetchone()
        return 0 if row is None else int(row["interruptions"])

    def _mark_used(self, connection: sqlite3.Connection, model_id: str) -> None:
        connection.execute("UPDATE models SET used_age_s = ? WHERE id = ?", (self.age_s(), model_id))

    def _end(
        self, connection: sqlite3.Connection, job_id: str, state: JobState, problem: Optional[str], expected: JobState
    ) -> bool:
        """End a job that is in the ``expected`` state, and return whether it was."""
        cursor = connection.execute(
            "UPDATE jobs SET state = ?, finished_at = ?, error = ?, ended_age_s = ? WHERE id = ? AND state = ?",
            (state, utc_now(), problem, self.age_s(), job_id, expected),
        )
        connection.execute(
            "UPDATE models SET used_age_s = ? WHERE id = (SELECT model_id FROM jobs WHERE id = ?)",
            (self.age_s(), job_id),
        )
        return cursor.rowcount == 1


def _no_job(job_id: str) -> JobNotFound:
    return JobNotFound(f"there is no job {job_id!r}", hint="GET /jobs lists them")
