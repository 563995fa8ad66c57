"""The SQLite database behind the store: opening, integrity check, migration and errors.

Write-ahead logging keeps the file whole when the process is killed, and ``synchronous=FULL`` keeps what was stored
when the power fails. One connection writes and one reads, each behind a lock of its own, so that who asks does not
wait for the disk while something is stored; a connection for each of the server's threads would cost memory and
gain nothing.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from pathlib import Path
from typing import Iterator, Optional

from gdws_agent.errors import StorageFailed, StorageFull, StoreDamaged, StoreUnsupported

from .schema import SCHEMA_VERSION, migrate, version_of

_BUSY_TIMEOUT_S = 5.0
#: The write-ahead log is cut back to this when it has been written into the database.
_LOG_BYTES = 16 * 2**20


class Database:
    """Two connections to one file. All methods may be called from any thread.

    Within :meth:`reading` and :meth:`writing`, StorageFull or another StorageFailed is raised when the disk does not
    serve; then nothing was changed.
    """

    def __init__(self, path: Path) -> None:
        """Open or create the database at ``path``.

        Raises:
            StoreDamaged: it is damaged, or is no database.
            StoreUnsupported: it was written by a newer release.
            StorageFailed: it cannot be opened or written.
        """
        self.path = path
        self._write_lock = threading.Lock()
        self._read_lock = threading.Lock()
        self._writes = 0
        self._is_writing = False
        with contextlib.ExitStack() as stack:
            self._writer = stack.enter_context(contextlib.closing(self._connect()))
            with _errors_translated(path, opening=True):
                _prepare(self._writer, path)
            self._reader = stack.enter_context(contextlib.closing(self._connect()))
            with _errors_translated(path, opening=True):
                self._reader.execute("PRAGMA query_only = ON")
            stack.pop_all()

    def close(self) -> None:
        """Close the database; no other method may be called then."""
        with self._read_lock, self._write_lock:
            self._reader.close()
            self._writer.close()

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that is kept as a whole on leaving, or not at all when an error leaves it."""
        with self._write_lock, self._counted(), _errors_translated(self.path), self._writer:
            yield self._writer

    @property
    def generation(self) -> Optional[int]:
        """A number that is another one after each write; None while something is being written.

        Who reads the same number before and after a look has seen what is stored until the number changes.
        """
        # In this order: a write that begins in between is seen by the second.
        writes = self._writes
        return None if self._is_writing else writes

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        self._is_writing = True
        try:
            yield
        finally:
            self._writes += 1
            self._is_writing = False

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One consistent view of what was stored before."""
        with self._read_lock, _errors_translated(self.path):
            self._reader.execute("BEGIN")
            try:
                yield self._reader
            finally:
                self._reader.rollback()

    def _connect(self) -> sqlite3.Connection:
        with _errors_translated(self.path, opening=True):
            connection = sqlite3.connect(str(self.path), timeout=_BUSY_TIMEOUT_S, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    version = version_of(connection)
    if version > SCHEMA_VERSION:
        raise StoreUnsupported(
            f"{path} has schema version {version}; this release reads up to {SCHEMA_VERSION}",
            hint="upgrade gdws-agent, or start it with another --data-dir",
        )
    fault = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if fault != "ok":
        raise StoreDamaged(f"{path} is damaged: {' '.join(fault.split())}", hint=_MOVE_HINT)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    migrate(connection)


_MOVE_HINT = "move it away to start with an empty one"


@contextlib.contextmanager
def _errors_translated(path: Path, *, opening: bool = False) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        text = str(error)
        if "full" in text:
            raise StorageFull(f"no space left for {path}", hint="free some space; the agent then resumes") from error
        if isinstance(error, sqlite3.OperationalError):
            raise StorageFailed(f"{path}: {text}", hint="see that the folder exists and can be written") from error
        if type(error) is sqlite3.DatabaseError:
            if opening:
                raise StoreDamaged(f"{path} cannot be read as a database: {text}", hint=_MOVE_HINT) from error
            raise StorageFailed(f"{path}: {text}", hint="start the agent again: it sets the file aside") from error
        raise
