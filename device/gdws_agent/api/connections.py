"""Places for connections: how many there are, and who leaves when another one comes.

Opening a connection takes no token, so the number of open ones must not decide who is served. A full house makes room:
the connection goes that has waited longest for its next request, and those that have shown a token go last. Whoever
sends a request soon after connecting is served, however many others keep connections open and say nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Set

from typing_extensions import Protocol

#: Places that only connections from this machine may take, so that health checks and ``ssh -L`` find one.
LOCAL_PLACES = 16


class Connection(Protocol):
    """What has a place."""

    def drop(self) -> None:
        """End at once, whatever is unsent."""


class Places:
    """The connections of one server. For use from the event loop alone; each call takes the same short time."""

    def __init__(self, limit: int, local: int = LOCAL_PLACES) -> None:
        """``limit`` is how many there are in all, of which ``local`` are for connections from this machine."""
        self._limit = limit
        self._local = min(local, limit // 4)
        self._all: Set[Connection] = set()
        #: Those that wait for a request, the longest first.
        self._unknown: OrderedDict[Connection, None] = OrderedDict()
        self._known: OrderedDict[Connection, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._all)

    def enter(self, connection: Connection, *, is_local: bool) -> bool:
        """Give ``connection`` a place, if need be that of one that waits; False when all are being answered."""
        limit = self._limit if is_local else self._limit - self._local
        if len(self._all) >= limit and not self._make_room():
            return False
        self._all.add(connection)
        return True

    def wait(self, connection: Connection, *, is_known: bool) -> None:
        """Note that ``connection`` waits for a request from now on; ``is_known`` when it has shown a token."""
        if connection in self._all:
            self.work(connection)
            (self._known if is_known else self._unknown)[connection] = None

    def work(self, connection: Connection) -> None:
        """Note that a request on ``connection`` is being answered."""
        self._unknown.pop(connection, None)
        self._known.pop(connection, None)

    def leave(self, connection: Connection) -> None:
        """Free the place of ``connection``; does nothing for one that has none."""
        self.work(connection)
        self._all.discard(connection)

    def _make_room(self) -> bool:
        for waiting in (self._unknown, self._known):
            if waiting:
                longest = next(iter(waiting))
                self.leave(longest)
                longest.drop()
                return True
        return False
