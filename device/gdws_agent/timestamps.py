"""Timestamps in the format of the REST interface and the store."""

from __future__ import annotations

from datetime import datetime, timezone


def utc_now() -> str:
    """Return the time of day in UTC as ISO 8601 to the millisecond, e.g. ``2024-05-01T12:00:00.000Z``."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
