"""Inventory of the data folder for retention: results, bundles and engines, with size and age.

Ages are by the store's own clock, see :meth:`gdws_agent.storage.store.Store.age_s`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Callable, List, NamedTuple

from .database import Database


class Item(NamedTuple):
    """One stored item; ``needed`` if an unfinished job needs it."""

    name: str
    size_bytes: int
    age_s: float
    needed: bool = False


class Inventory:
    """Looks through store and folders. All methods may be called from any thread."""

    def __init__(self, database: Database, age_s: Callable[[], float], bundle_path: Callable[[str], Path]) -> None:
        self._database = database
        self._age_s = age_s
        self._bundle_path = bundle_path

    def results(self) -> List[Item]:
        """Return the jobs that have ended, the longest ended first."""
        now_s = self._age_s()
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT id, cells_bytes + LENGTH(request) AS size, ended_age_s FROM jobs"
                " WHERE state NOT IN ('queued', 'running') ORDER BY ended_age_s, sequence"
            ).fetchall()
        return [Item(row["id"], row["size"], now_s - row["ended_age_s"]) for row in rows]

    def remove_results(self, job_ids: List[str]) -> None:
        """Forget jobs that have ended, with their cells."""
        with self._database.writing() as connection:
            connection.executemany(
                "DELETE FROM jobs WHERE id = ? AND state NOT IN ('queued', 'running')",
                [(job_id,) for job_id in job_ids],
            )

    def bundles(self) -> List[Item]:
        """Return the bundles, the longest unused first."""
        now_s = self._age_s()
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT id, used_age_s, EXISTS (SELECT 1 FROM jobs WHERE model_id = models.id"
                " AND state IN ('queued', 'running')) AS needed FROM models ORDER BY used_age_s, rowid"
            ).fetchall()
        return [
            Item(row["id"], _size(self._bundle_path(row["id"])), now_s - row["used_age_s"], bool(row["needed"]))
            for row in rows
        ]

    def engines(self, folder: Path) -> List[Item]:
        """Return the files of an engine cache by their path within ``folder``, the longest unused first.

        A file counts as used when its time of modification has changed since the last look.
        """
        now_s = self._age_s()
        found = {}
        for path in folder.rglob("*"):
            if path.is_file():
                status = path.stat()
                found[str(path.relative_to(folder))] = (status.st_mtime_ns, status.st_size)
        with self._database.writing() as connection:
            known = {
                row["name"]: (row["modified_ns"], row["used_age_s"])
                for row in connection.execute("SELECT * FROM engines")
            }
            seen = {
                name: known[name] if name in known and known[name][0] == modified_ns else (modified_ns, now_s)
                for name, (modified_ns, _) in found.items()
            }
            connection.executemany(
                "DELETE FROM engines WHERE name = ?", [(name,) for name in known if name not in seen]
            )
            connection.executemany(
                "REPLACE INTO engines (name, modified_ns, used_age_s) VALUES (?, ?, ?)",
                [(name, *facts) for name, facts in seen.items() if known.get(name) != facts],
            )
        items = [Item(name, size_bytes, now_s - seen[name][1]) for name, (_, size_bytes) in found.items()]
        return sorted(items, key=lambda item: (-item.age_s, found[item.name][0]))


def _size(path: Path) -> int:
    """Return the size of a file; 0 when it is missing."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
