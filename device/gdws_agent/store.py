"""What the agent knows about bundles, jobs and cells, in one SQLite file.

Records are stored as the JSON of their models; columns exist for what is searched or ordered by.

One connection behind one lock serves all threads. Each statement takes well under a millisecond but for
the write to the disk, which SQLite would serialise anyway; a connection for each of the server's threads
would cost memory and gain nothing. Write-ahead logging keeps the file whole when the process is killed, and
``synchronous=FULL`` keeps what was stored when the power fails.
"""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
import threading
from pathlib import Path
from typing import Any, Iterator, List, Optional, Sequence

from gdws_contract.manifest import Manifest
from gdws_contract.problems import Problem
from gdws_contract.rest import BenchmarkRequest, Cell, Job, JobState, ModelInfo, Progress

from .errors import JobNotFound, ModelInUse, ModelNotFound, StorageFailed, StorageFull, StoreUnsupported
from .groups import count_cells
from .timestamps import utc_now

#: The script at index i leads from schema version i to i + 1; the version is SQLite's ``user_version``.
MIGRATIONS = (
    """
    CREATE TABLE models (
        id TEXT PRIMARY KEY,
        info TEXT NOT NULL,          -- ModelInfo without the manifest
        manifest TEXT NOT NULL,
        created_at TEXT NOT NULL
    );
    CREATE TABLE jobs (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        model_id TEXT NOT NULL,      -- no foreign key: results outlive their bundle
        state TEXT NOT NULL,
        request TEXT NOT NULL,
        cells_total INTEGER NOT NULL,
        created_at TEXT NOT NULL,
        started_at TEXT,
        finished_at TEXT,
        error TEXT,
        interruptions INTEGER NOT NULL DEFAULT 0
    );
    CREATE INDEX jobs_by_state ON jobs (state, sequence);
    CREATE TABLE cells (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
        key TEXT NOT NULL,
        cell TEXT NOT NULL,
        UNIQUE (job_id, key)
    );
    """,
)
SCHEMA_VERSION = len(MIGRATIONS)

_BUSY_TIMEOUT_S = 5.0
_JOB_COLUMNS = """
    jobs.*,
    (SELECT COUNT(*) FROM cells WHERE cells.job_id = jobs.id) AS cells_finished,
    CASE WHEN state = 'queued' THEN
        (SELECT COUNT(*) FROM jobs AS other WHERE other.state = 'queued' AND other.sequence < jobs.sequence)
    END AS queue_position
"""


class Store:
    """The database of one agent. All methods may be called from any thread.

    Every method raises StorageFull or another StorageFailed when the disk does not serve; then nothing was changed.
    """

    def __init__(self, path: Path) -> None:
        """Open or create the database at ``path``.

        Raises:
            StoreUnsupported: it is damaged, is no database, or was written by a newer release.
            StorageFailed: it cannot be opened or written.
        """
        self._path = path
        self._lock = threading.Lock()
        with _errors_translated(path):
            self._connection = sqlite3.connect(str(path), timeout=_BUSY_TIMEOUT_S, check_same_thread=False)
        try:
            with _errors_translated(path):
                self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Close the database; no other method may be called then."""
        with self._lock:
            self._connection.close()

    # Bundles

    def add_model(self, info: ModelInfo, manifest: Manifest) -> bool:
        """Store a bundle's record and return whether it is new."""
        row = (info.id, info.model_copy(update={"manifest": None}).model_dump_json(), manifest.model_dump_json())
        with self._transaction() as connection:
            cursor = connection.execute(
                "INSERT OR IGNORE INTO models (id, info, manifest, created_at) VALUES (?, ?, ?, ?)",
                (*row, info.created_at),
            )
            return cursor.rowcount == 1

    def models(self) -> List[ModelInfo]:
        """Return all bundles without their manifests, newest first."""
        with self._transaction() as connection:
            rows = connection.execute("SELECT info FROM models ORDER BY created_at DESC, rowid DESC").fetchall()
        return [ModelInfo.model_validate_json(row["info"]) for row in rows]

    def model(self, model_id: str) -> ModelInfo:
        """Return a bundle with its manifest.

        Raises:
            ModelNotFound: there is none of that id.
        """
        with self._transaction() as connection:
            row = connection.execute("SELECT info FROM models WHERE id = ?", (model_id,)).fetchone()
        if row is None:
            raise _no_model(model_id)
        info = ModelInfo.model_validate_json(row["info"])
        return info.model_copy(update={"manifest": self.manifest(model_id)})

    def manifest(self, model_id: str) -> Manifest:
        """Return the manifest of a bundle.

        Raises:
            ModelNotFound: there is none of that id.
        """
        with self._transaction() as connection:
            row = connection.execute("SELECT manifest FROM models WHERE id = ?", (model_id,)).fetchone()
        if row is None:
            raise _no_model(model_id)
        return Manifest.model_validate_json(row["manifest"])

    def remove_model(self, model_id: str) -> None:
        """Forget a bundle.

        Raises:
            ModelNotFound: there is none of that id.
            ModelInUse: a job that has not ended needs it.
        """
        with self._transaction() as connection:
            _refuse_if_used(connection, model_id)
            if connection.execute("DELETE FROM models WHERE id = ?", (model_id,)).rowcount == 0:
                raise _no_model(model_id)

    def check_unused(self, model_id: str) -> None:
        """Raise ModelInUse when a job that has not ended needs the bundle. Takes no space on the disk."""
        with self._transaction() as connection:
            _refuse_if_used(connection, model_id)

    # Jobs

    def add_job(self, request: BenchmarkRequest) -> Job:
        """Append a job with a resolved ``request`` to the queue and return it.

        Raises:
            ModelNotFound: the bundle is not there (any more).
        """
        job_id = secrets.token_hex(6)
        with self._transaction() as connection:
            cursor = connection.execute(
                "INSERT INTO jobs (id, model_id, state, request, cells_total, created_at) "
                "SELECT ?, id, 'queued', ?, ?, ? FROM models WHERE id = ?",
                (job_id, request.model_dump_json(), count_cells(request), utc_now(), request.model_id),
            )
            if cursor.rowcount == 0:
                raise _no_model(request.model_id)
        return self.job(job_id)

    def job(self, job_id: str) -> Job:
        """Return a job with its cells.

        Raises:
            JobNotFound: there is none of that id.
        """
        with self._transaction() as connection:
            row = connection.execute(f"SELECT {_JOB_COLUMNS} FROM jobs WHERE id = ?", (job_id,)).fetchone()
            cells = connection.execute(
                "SELECT cell FROM cells WHERE job_id = ? ORDER BY sequence", (job_id,)
            ).fetchall()
        if row is None:
            raise JobNotFound(f"no benchmark {job_id!r}", hint="GET /benchmark lists them")
        return _job_from(row, [Cell.model_validate_json(cell["cell"]) for cell in cells])

    def jobs(self, limit: int) -> List[Job]:
        """Return at most ``limit`` jobs without their cells, newest first."""
        with self._transaction() as connection:
            rows = connection.execute(
                f"SELECT {_JOB_COLUMNS} FROM jobs ORDER BY sequence DESC LIMIT ?", (limit,)
            ).fetchall()
        return [_job_from(row, []) for row in rows]

    def count_queued(self) -> int:
        """Return the number of jobs that wait."""
        with self._transaction() as connection:
            return int(connection.execute("SELECT COUNT(*) FROM jobs WHERE state = 'queued'").fetchone()[0])

    def begin_next(self) -> Optional[Job]:
        """Mark the next job as running and return it; None when the queue is empty.

        A job that is already marked as running goes first: it is one that an earlier agent did not end.
        """
        with self._transaction() as connection:
            row = connection.execute(
                "SELECT id FROM jobs WHERE state IN ('running', 'queued') ORDER BY state = 'queued', sequence LIMIT 1"
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
        with self._transaction() as connection:
            connection.execute("UPDATE jobs SET state = 'queued' WHERE id = ? AND state = 'running'", (job_id,))

    def finish(self, job_id: str, state: JobState, error: Optional[Problem] = None) -> None:
        """End a running job."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE jobs SET state = ?, finished_at = ?, error = ? WHERE id = ? AND state = 'running'",
                (state, utc_now(), None if error is None else error.model_dump_json(), job_id),
            )

    def cancel_queued(self, job_id: str) -> bool:
        """Cancel a job if it waits, and return whether it did."""
        with self._transaction() as connection:
            cursor = connection.execute(
                "UPDATE jobs SET state = 'cancelled', finished_at = ? WHERE id = ? AND state = 'queued'",
                (utc_now(), job_id),
            )
            return cursor.rowcount == 1

    # Cells

    def add_cell(self, job_id: str, cell: Cell) -> None:
        """Store a finished cell; one that was there for the same key is replaced.

        A cell that ended shows that the job gets on, so its count of interruptions starts anew.
        """
        with self._transaction() as connection:
            connection.execute(
                "REPLACE INTO cells (job_id, key, cell) VALUES (?, ?, ?)",
                (job_id, cell.key.model_dump_json(), cell.model_dump_json()),
            )
            connection.execute("UPDATE jobs SET interruptions = 0 WHERE id = ?", (job_id,))

    # Interruptions

    def count_interruptions(self) -> List[str]:
        """Count one more interruption for each job that is marked as running, and return their ids.

        To be called once when the agent starts: an agent that stops in order leaves no job running.
        """
        with self._transaction() as connection:
            connection.execute("UPDATE jobs SET interruptions = interruptions + 1 WHERE state = 'running'")
            return [row["id"] for row in connection.execute("SELECT id FROM jobs WHERE state = 'running'")]

    def interruptions(self, job_id: str) -> int:
        """Return how often in a row the agent died while it measured this job and no cell of it ended."""
        with self._transaction() as connection:
            row = connection.execute("SELECT interruptions FROM jobs WHERE id = ?", (job_id,)).fetchone()
        return 0 if row is None else int(row["interruptions"])

    def _prepare(self) -> None:
        self._connection.row_factory = sqlite3.Row
        version = int(self._connection.execute("PRAGMA user_version").fetchone()[0])
        if version > SCHEMA_VERSION:
            raise StoreUnsupported(
                f"{self._path} has schema version {version}; this release reads up to {SCHEMA_VERSION}",
                hint="upgrade gdws-agent, or start it with another --data-dir",
            )
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("PRAGMA foreign_keys = ON")
        for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
            self._connection.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {number}; COMMIT;")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, _errors_translated(self._path), self._connection:
            yield self._connection


@contextlib.contextmanager
def _errors_translated(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        text = str(error)
        if "full" in text:
            raise StorageFull(f"no space left for {path}", hint="free some space; the agent then goes on") from error
        if isinstance(error, sqlite3.OperationalError):
            raise StorageFailed(f"{path}: {text}", hint="see that the folder exists and can be written") from error
        if type(error) is sqlite3.DatabaseError:
            raise StoreUnsupported(
                f"{path} cannot be read as a database: {text}", hint="move it away to start with an empty one"
            ) from error
        raise


def _job_from(row: sqlite3.Row, cells: Sequence[Cell]) -> Job:
    same = ("id", "state", "created_at", "started_at", "finished_at", "queue_position")
    fields: Any = {name: row[name] for name in same}
    return Job(
        **fields,
        request=BenchmarkRequest.model_validate_json(row["request"]),
        progress=Progress(cells_total=row["cells_total"], cells_finished=row["cells_finished"]),
        cells=list(cells),
        error=None if row["error"] is None else Problem.model_validate_json(row["error"]),
    )


def _refuse_if_used(connection: sqlite3.Connection, model_id: str) -> None:
    user = connection.execute(
        "SELECT id FROM jobs WHERE model_id = ? AND state IN ('queued', 'running')", (model_id,)
    ).fetchone()
    if user is not None:
        raise ModelInUse(
            f"benchmark {user['id']} still needs the bundle",
            hint=f"wait for it, or cancel it with DELETE /benchmark/{user['id']}",
        )


def _no_model(model_id: str) -> ModelNotFound:
    return ModelNotFound(f"no bundle {model_id!r} is stored here", field="model_id", hint="GET /models lists them")
