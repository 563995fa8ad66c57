"""The durable engine behind sweeps, which is installed on request."""

from __future__ import annotations

from importlib.util import find_spec

from gdws.errors import GdwsError


def require_engine() -> None:
    """Raise :class:`GdwsError` if DBOS is not installed."""
    if find_spec("dbos") is None:
        raise GdwsError("gdws fleet needs DBOS, which is not installed", hint="pip install 'gdws[fleet]'")
