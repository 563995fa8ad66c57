"""Preconditions for storing and removing jobs and bundles, checked in the same transaction."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple, Optional

from gdws_agent.errors import IdempotencyKeyReused, ModelInUse, ModelNotFound, QueueFull


class Ticket(NamedTuple):
    """What a client said with a request besides the request: a lease, and a key that makes it the same if repeated."""

    lease_id: Optional[str] = None
    lease_holder: Optional[str] = None
    key: Optional[str] = None
    digest: Optional[str] = None


NO_TICKET = Ticket()


def same_key(connection: sqlite3.Connection, ticket: Ticket) -> Optional[str]:
    """Return the id of the job that came before with the idempotency key of ``ticket``, if there is one."""
    if ticket.key is None:
        return None
    row = connection.execute(
        "SELECT id, idempotency_digest FROM jobs WHERE idempotency_key = ?", (ticket.key,)
    ).fetchone()
    if row is None:
        return None
    if row["idempotency_digest"] != ticket.digest:
        raise IdempotencyKeyReused(
            f"benchmark {row['id']} came with this key and another request",
            field="Idempotency-Key",
            hint="make a new key for each new request",
        )
    return str(row["id"])


def refuse_if_full(connection: sqlite3.Connection, limit: Optional[int]) -> None:
    """Raise QueueFull when ``limit`` jobs wait."""
    if limit is None:
        return
    queued = int(connection.execute("SELECT COUNT(*) FROM jobs WHERE state = 'queued'").fetchone()[0])
    if queued >= limit:
        raise QueueFull(f"{queued} jobs wait already", retry_after_s=60.0, hint="--max-queued-jobs sets the limit")


def refuse_if_used(connection: sqlite3.Connection, model_id: str) -> None:
    """Raise ModelInUse when a job that has not ended needs the bundle."""
    user = connection.execute(
        "SELECT id FROM jobs WHERE model_id = ? AND state IN ('queued', 'running')", (model_id,)
    ).fetchone()
    if user is not None:
        raise ModelInUse(
            f"benchmark {user['id']} still needs the bundle",
            hint=f"wait for it, or cancel it with DELETE /jobs/{user['id']}",
        )


def no_model(model_id: str) -> ModelNotFound:
    """Return the error that a bundle is not stored."""
    return ModelNotFound(f"no bundle {model_id!r} is stored here", field="model_id", hint="GET /models lists them")
