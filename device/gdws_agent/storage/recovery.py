"""A database that is damaged is set aside, under a name that tells when, and the agent starts with an empty one.

As long as such a file lies in the data folder the agent says so, in its log and to whoever asks.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
from pathlib import Path
from typing import List, NamedTuple

from gdws_agent.errors import StoreDamaged
from gdws_agent.timestamps import utc_now
from gdws_contract.queueing import Notice

from .store import Store

_LOG = logging.getLogger(__name__)

_MARK = ".damaged-"
#: What SQLite keeps beside a database belongs to it.
_COMPANIONS = ("-wal", "-shm")


class Opened(NamedTuple):
    """A store, and whether it is a new one in place of one that was damaged."""

    store: Store
    is_replacement: bool


def open_store(path: Path) -> Opened:
    """Open the store at ``path``; when it is damaged, set it aside and make a new one.

    Raises:
        StoreUnsupported: it was written by a newer release.
        StorageFailed: the disk does not serve.
    """
    try:
        return Opened(Store(path), is_replacement=False)
    except StoreDamaged as error:
        _LOG.error("%s", error.message)
        kept = set_aside(path)
        _LOG.error("it is kept as %s; jobs and results in it are not shown any more, bundles are", kept)
        return Opened(Store(path), is_replacement=True)


def set_aside(path: Path) -> Path:
    """Rename a database with its companions and return its new path."""
    stamp = re.sub(r"[-:]|\.\d+", "", utc_now())
    names = (path.with_name(f"{path.name}{_MARK}{stamp}{suffix}") for suffix in ("", *(f".{n}" for n in range(1, 100))))
    target = next(name for name in names if not name.exists())
    for suffix in _COMPANIONS:
        with contextlib.suppress(FileNotFoundError):
            os.replace(str(path) + suffix, str(target) + suffix)
    os.replace(str(path), str(target))
    return target


def notices(path: Path) -> List[Notice]:
    """Return a notice for each database that was set aside from ``path`` and still lies there."""
    found = sorted(path.parent.glob(f"{path.name}{_MARK}*"))
    return [
        Notice(
            code="database-set-aside",
            detail=f"the database was damaged and is kept as {kept.name}; jobs and results in it are not shown",
            hint="sqlite3's .recover may save results from it; remove it when it is of no more use",
        )
        for kept in found
        if not kept.name.endswith(_COMPANIONS)
    ]
