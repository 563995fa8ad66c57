"""The lease of the device. While it is held, only jobs that were submitted under it are started.

A lease ends when it is released, or by itself when nobody renews it. Its time runs by the monotonic clock. An agent
that starts anew takes up the lease that it finds in the store with its whole time, since it cannot know how long
nobody could renew it.
"""

from __future__ import annotations

import hmac
import logging
import secrets
import threading
import time
from typing import Callable, List, NamedTuple, Optional

from gdws_agent.errors import LeaseHeld, LeaseNotHeld, RequestInvalid, StorageFailed
from gdws_agent.storage.database import Database
from gdws_agent.timestamps import utc_now
from gdws_contract.queueing import Lease, LeaseInfo, LeaseRequest

_LOG = logging.getLogger(__name__)


class _Held(NamedTuple):
    id: str
    holder: str
    note: Optional[str]
    since: str
    ttl_s: float
    ends_at_s: float


class LeaseDesk:
    """Grants the single lease. All methods are thread-safe."""

    def __init__(self, database: Database, max_ttl_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._max_ttl_s = max_ttl_s
        self._clock = clock
        self._lock = threading.Lock()
        self._listeners: List[Callable[[], None]] = []
        self._held = self._stored()

    def listen(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` when the lease ends before it expires."""
        self._listeners.append(listener)

    def take(self, request: LeaseRequest) -> Lease:
        """Grant the lease to ``request.holder``; a running job is not interrupted.

        Raises:
            LeaseHeld: somebody holds it.
            RequestInvalid: it is asked for longer than the agent's settings allow.
            StorageFailed: the lease cannot be stored.
        """
        if request.ttl_s > self._max_ttl_s:
            raise RequestInvalid(
                f"the time to live of a lease is limited to {self._max_ttl_s:g} s",
                field="ttl_s",
                hint="renew it instead",
            )
        with self._lock:
            held = self._in_force()
            if held is not None:
                left_s = held.ends_at_s - self._clock()
                raise LeaseHeld(
                    f"{held.holder} holds the device, for {left_s:.0f} s more unless renewed",
                    hint="GET /lease tells more; DELETE /lease?force=true takes it away",
                    retry_after_s=left_s,
                )
            made = (secrets.token_hex(16), request.holder, request.note, utc_now(), request.ttl_s)
            with self._database.writing() as connection:
                connection.execute("DELETE FROM lease")
                connection.execute("INSERT INTO lease (id, holder, note, since, ttl_s) VALUES (?, ?, ?, ?, ?)", made)
            self._held = _Held(*made, self._clock() + request.ttl_s)
            _LOG.info("lease: %s holds the device for %g s", request.holder, request.ttl_s)
            return self._shown(self._held)

    def renew(self, lease_id: str) -> Lease:
        """Renew a lease; raises LeaseNotHeld if it is not in force."""
        with self._lock:
            held = self._require(lease_id)
            self._held = held._replace(ends_at_s=self._clock() + held.ttl_s)
            return self._shown(self._held)

    def release(self, lease_id: str) -> None:
        """End a lease; raises LeaseNotHeld when it is not in force."""
        with self._lock:
            self._end(self._require(lease_id), "released")
        self._tell()

    def force_release(self) -> None:
        """End whatever lease is in force."""
        with self._lock:
            held = self._in_force()
            if held is not None:
                self._end(held, "taken away")
        self._tell()

    def check(self, lease_id: str) -> Lease:
        """Return the lease of that id; raises LeaseNotHeld when it is not in force."""
        with self._lock:
            return self._shown(self._require(lease_id))

    def current(self) -> Optional[Lease]:
        """Return the lease that is in force."""
        with self._lock:
            held = self._in_force()
            return None if held is None else self._shown(held)

    def _stored(self) -> Optional[_Held]:
        with self._database.reading() as connection:
            row = connection.execute("SELECT id, holder, note, since, ttl_s FROM lease").fetchone()
        if row is None:
            return None
        return _Held(row["id"], row["holder"], row["note"], row["since"], row["ttl_s"], self._clock() + row["ttl_s"])

    def _in_force(self) -> Optional[_Held]:
        if self._held is not None and self._clock() >= self._held.ends_at_s:
            self._end(self._held, "expired without being renewed")
        return self._held

    def _require(self, lease_id: str) -> _Held:
        held = self._in_force()
        if held is None or not hmac.compare_digest(held.id.encode(), lease_id.encode()):
            raise LeaseNotHeld(
                "no lease with this id is in force", field="Lease-Id", hint="it may have expired: take a new one"
            )
        return held

    def _end(self, held: _Held, how: str) -> None:
        """Forget the lease. An error of the disk must not keep it in force."""
        self._held = None
        _LOG.info("lease: that of %s %s", held.holder, how)
        try:
            with self._database.writing() as connection:
                connection.execute("DELETE FROM lease")
        except StorageFailed as error:
            _LOG.warning("lease: the next start of the agent will take it for held again: %s", error)

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()

    def _shown(self, held: _Held) -> Lease:
        expires_in_s = round(max(0.0, held.ends_at_s - self._clock()), 1)
        return Lease(
            id=held.id,
            holder=held.holder,
            note=held.note,
            since=held.since,
            ttl_s=held.ttl_s,
            expires_in_s=expires_in_s,
        )


def for_everybody(lease: Optional[Lease]) -> Optional[LeaseInfo]:
    """Return what others than the holder may know of a lease: all but its id."""
    return None if lease is None else LeaseInfo.model_validate(lease.model_dump(exclude={"id"}))
