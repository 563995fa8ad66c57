"""Which coordinators live. Each holds a numbered slot of its sweep for as long as its process lives.

The workflows of a coordinator carry the number of its slot. A slot that can be taken belongs to nobody, so that what
its last holder left can be resumed: at the start of the next one, or by any other coordinator that sees it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import sqlalchemy
import sqlalchemy.exc

from gdws.errors import GdwsError, first_line
from gdws.fleet.workflows import Place

#: The most coordinators of one sweep.
MOST = 64
#: Looks at the lock of a sweep on SQLite, and the time between them: gdws fleet status holds it for a moment.
_LOOKS, _LOOK_S = 3, 0.05


@contextlib.contextmanager
def database_named() -> Iterator[None]:
    """Convert errors of a database into :class:`GdwsError`, without its URL, which may have a password."""
    try:
        yield
    except sqlalchemy.exc.SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        raise GdwsError(
            f"the database cannot be used: {first_line(cause)}", hint="check --database or GDWS_FLEET_DATABASE"
        ) from error


class Slots(ABC):
    """The slots of one sweep, of which :meth:`take` has taken one."""

    number: int = 0

    @abstractmethod
    def take(self) -> None:
        """Take the first free slot. Raises :class:`GdwsError` if there is none."""

    @abstractmethod
    def is_free(self, number: int) -> bool:
        """Whether no living coordinator holds that slot."""

    @abstractmethod
    def are_free(self) -> bool:
        """Whether no coordinator lives. Ask without having taken a slot."""

    @abstractmethod
    def close(self) -> None:
        """Give the slot back."""


class OneSlot(Slots):
    """The only slot of a sweep on SQLite: a lock on a file, which the system releases when the process ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None

    def take(self) -> None:
        file = self._path.open("wb")
        for _ in range(_LOOKS):
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._file, self.number = file, 1
                return
            time.sleep(_LOOK_S)
        file.close()
        raise GdwsError(
            f"another coordinator works on {self._path.parent}",
            hint="follow it with gdws fleet status; several coordinators need --database postgresql://...",
        )

    def is_free(self, number: int) -> bool:
        return number != self.number

    def are_free(self) -> bool:
        with contextlib.suppress(FileNotFoundError), self._path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


class PostgresSlots(Slots):
    """Slots as advisory locks, which PostgreSQL releases when the connection ends."""

    def __init__(self, url: str, fleet_id: str) -> None:
        """Raises :class:`GdwsError` if the database cannot be reached."""
        with database_named():
            engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool, isolation_level="AUTOCOMMIT")
            self._connection = engine.connect()
        self._space = int.from_bytes(hashlib.sha256(fleet_id.encode()).digest()[:4], "big", signed=True)

    def take(self) -> None:
        for number in range(1, MOST + 1):
            if self._lock(number):
                self.number = number
                return
        raise GdwsError(f"{MOST} coordinators work on this sweep already")

    def is_free(self, number: int) -> bool:
        if number == self.number or not self._lock(number):
            return False
        self._call("pg_advisory_unlock", number)
        return True

    def are_free(self) -> bool:
        # pg_locks shows the first key of an advisory lock as an unsigned number.
        statement = sqlalchemy.text(
            "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database "
            "WHERE datname = current_database() AND locktype = 'advisory' AND classid = :space"
        )
        held = self._connection.execute(statement, {"space": self._space % 2**32}).scalar_one()
        return int(held) == 0

    def close(self) -> None:
        self._connection.close()

    def _lock(self, number: int) -> bool:
        return self._call("pg_try_advisory_lock", number)

    def _call(self, function: str, number: int) -> bool:
        statement = sqlalchemy.text(f"SELECT {function}(:space, :number)")
        return bool(self._connection.execute(statement, {"space": self._space, "number": number}).scalar_one())


def slots_of(place: Place) -> Slots:
    """The slots of the sweep at ``place``, none taken. Raises :class:`GdwsError` if its database cannot be reached."""
    record = place.folder.record
    return PostgresSlots(place.url, record.id) if record.shared_database else OneSlot(place.folder.path / "coordinator")
