"""Recovery from a damaged or lost database, which is set aside and replaced by an empty one.

What is left of it is kept under a name that tells when. As long as such a file lies in the data folder the agent says
so, in its log and to whoever asks.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import threading
import time
from pathlib import Path
from typing import Callable, List

from gdws_agent.errors import StoreDamaged
from gdws_agent.timestamps import utc_now
from gdws_contract.queueing import Notice

from .store import Store

_LOG = logging.getLogger(__name__)

#: How long a notice may still be told that is no longer true.
NOTICES_KEPT_S = 5.0
_MARK = ".damaged-"
#: What SQLite keeps beside a database belongs to it.
_COMPANIONS = ("-wal", "-shm")


def open_store(path: Path, *, was_used: bool = False) -> Store:
    """Open the store at ``path``; when it is damaged, or lost, set it aside and make a new one.

    A power failure may leave a file of no bytes, or none, where a database was. ``was_used`` tells that one was there.

    Raises:
        StoreUnsupported: it was written by a newer release.
        StorageFailed: the disk does not serve.
    """
    if _is_empty(path) and (was_used or any(map(os.path.exists, _companions(path)))):
        _LOG.error("%s is empty or missing, although this data folder was used before", path)
        _replace(path)
    try:
        return Store(path)
    except StoreDamaged as error:
        _LOG.error("%s", error.message)
        _replace(path)
        return Store(path)


def _replace(path: Path) -> None:
    kept = set_aside(path)
    _LOG.error("what is left is kept as %s; jobs and results in it are not shown any more, bundles are", kept)


def _is_empty(path: Path) -> bool:
    return not path.exists() or path.stat().st_size == 0


def _companions(path: Path) -> List[str]:
    return [f"{path}{suffix}" for suffix in _COMPANIONS]


def set_aside(path: Path) -> Path:
    """Rename a database with its companions and return its new path; in place of one that is missing, make a file."""
    stamp = re.sub(r"[-:]|\.\d+", "", utc_now())
    names = (path.with_name(f"{path.name}{_MARK}{stamp}{suffix}") for suffix in ("", *(f".{n}" for n in range(1, 100))))
    target = next(name for name in names if not name.exists())
    for suffix in _COMPANIONS:
        with contextlib.suppress(FileNotFoundError):
            os.replace(str(path) + suffix, str(target) + suffix)
    path.touch()
    os.replace(str(path), str(target))
    return target


def notices(path: Path) -> List[Notice]:
    """Return a notice for each database that was set aside from ``path`` and still lies there."""
    found = sorted(path.parent.glob(f"{path.name}{_MARK}*"))
    return [_notice(kept) for kept in found if not kept.name.endswith(_COMPANIONS)]


class Notices:
    """The notices as they were a moment ago, for those who must not wait for the disk. For use from any thread."""

    def __init__(
        self, path: Path, *, max_age_s: float = NOTICES_KEPT_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Look for the first time; raises OSError."""
        self._path = path
        self._max_age_s = max_age_s
        self._clock = clock
        self._looking = threading.Lock()
        self._found: List[Notice] = []
        self._looked_s = 0.0
        self.look()

    def look(self) -> List[Notice]:
        """Return what there is now."""
        self._found, self._looked_s = notices(self._path), self._clock()
        return self._found

    def known(self) -> List[Notice]:
        """Return what there was at the last look; one that is too old is followed by another in the background."""
        is_old = self._clock() - self._looked_s > self._max_age_s
        # Not taken while a look hangs, so no more than one thread waits for a disk that does not answer.
        if is_old and self._looking.acquire(blocking=False):
            try:
                threading.Thread(target=self._look_again, name="notices", daemon=True).start()
            except RuntimeError:  # the machine has no thread left; whoever asks next tries again
                self._looking.release()
        return self._found

    def _look_again(self) -> None:
        try:
            self.look()
        finally:
            self._looking.release()


def _notice(kept: Path) -> Notice:
    if _is_empty(kept):
        return Notice(
            code="database-set-aside",
            detail=f"the database was lost, as {kept.name} marks; bundles were taken in again, results are gone",
            hint="remove that file when you have taken note",
        )
    return Notice(
        code="database-set-aside",
        detail=f"the database was damaged and is kept as {kept.name}; jobs and results in it are not shown",
        hint="sqlite3's .recover may save results from it; remove it when it is of no more use",
    )
