"""Retention of results, bundles and engines by age and size.

What a job needs that has not ended is never removed, nor is the newest of each kind. Engines are removed only while
no job waits, for which job needs which is known to its worker alone.
"""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path
from typing import Callable, List, NamedTuple, Sequence

from gdws_agent.errors import ModelInUse, ModelNotFound
from gdws_agent.settings import Settings

from .inventory import Inventory, Item
from .library import Library
from .store import Store

_LOG = logging.getLogger(__name__)

_DAY_S = 86_400.0
_MB = 2**20


class Keep(NamedTuple):
    """For how long and how much is kept of one kind; 0 is without limit."""

    days: float
    mb: int


def to_remove(items: Sequence[Item], keep: Keep) -> List[Item]:
    """Return those of ``items``, given oldest first, that are too old or too much: the oldest go first."""
    total_bytes = sum(item.size_bytes for item in items)
    gone: List[Item] = []
    for item in items[:-1]:
        too_old = 0 < keep.days * _DAY_S < item.age_s
        too_much = 0 < keep.mb * _MB < total_bytes
        if not item.needed and (too_old or too_much):
            gone.append(item)
            total_bytes -= item.size_bytes
    return gone


class Retention:
    """Applies the retention. To be called while nothing is measured."""

    def __init__(self, store: Store, library: Library, cache_dir: Path, settings: Settings) -> None:
        self._store = store
        self._library = library
        self._cache_dir = cache_dir
        self._inventory = Inventory(store.database, store.age_s, library.path)
        self._results = Keep(settings.keep_results_days, settings.keep_results_mb)
        self._bundles = Keep(settings.keep_models_days, settings.keep_models_mb)
        self._engines = Keep(settings.keep_engines_days, settings.keep_engines_mb)

    def tidy(self) -> None:
        """Remove all that is too old or too much, and say so in the log.

        Raises:
            StorageFailed: the disk does not serve.
        """
        self._store.save_age()
        gone = to_remove(self._inventory.results(), self._results)
        if gone:
            self._inventory.remove_results([item.name for item in gone])
            _say("result", gone)
        _say("bundle", _those(to_remove(self._inventory.bundles(), self._bundles), self._remove_bundle))
        if self._store.count_queued() == 0:
            items = self._inventory.engines(self._cache_dir)
            _say("file of the engine cache", _those(to_remove(items, self._engines), self._remove_engine))

    def _remove_bundle(self, model_id: str) -> bool:
        with contextlib.suppress(ModelInUse, ModelNotFound):  # somebody was faster
            self._library.remove(model_id)
            return True
        return False

    def _remove_engine(self, name: str) -> bool:
        try:
            (self._cache_dir / name).unlink()
        except OSError as error:
            _LOG.warning("the engine cache: %s", error)
            return False
        return True


def _those(items: Sequence[Item], removed: Callable[[str], bool]) -> List[Item]:
    return [item for item in items if removed(item.name)]


def _say(kind: str, gone: Sequence[Item]) -> None:
    for item in gone:
        _LOG.info(
            "removed a %s to keep to the limits: %s, %d bytes, %.1f days",
            kind,
            item.name,
            item.size_bytes,
            item.age_s / _DAY_S,
        )
