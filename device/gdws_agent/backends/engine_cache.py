"""Engines on disk. An engine belongs to one model, TensorRT, GPU and L4T: it is a cache, never shipped.

Each entry is one file: a line of JSON, then the content. A damaged entry counts as absent.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from pathlib import Path
from typing import Any, Dict, NamedTuple, Optional
from uuid import uuid4

_LOG = logging.getLogger(__name__)

#: Part of every key: raised when the meaning of an entry changes.
_FORMAT = 2
_MAX_HEADER_BYTES = 65_536
#: Beyond this the least recently used entries are removed.
MAX_BYTES = 4 * 2**30


class Entry(NamedTuple):
    """``content`` is an engine, a timing cache or a calibration table, ``facts`` what was written of it besides."""

    content: bytes
    facts: Dict[str, Any]


class Found(NamedTuple):
    """An entry, or None and, where a file is there but unusable, the reason."""

    entry: Optional[Entry]
    problem: Optional[str] = None


def fingerprint(facts: Dict[str, Any]) -> str:
    """Return the SHA-256 of everything that an entry depends on, as 64 hexadecimal digits."""
    document = json.dumps({"format": _FORMAT, **facts}, sort_keys=True)
    return hashlib.sha256(document.encode()).hexdigest()


class EngineCache:
    """Entries in ``folder``, which is made when it is first needed. Disk errors are not raised: it is only a cache."""

    def __init__(self, folder: Path, max_bytes: int = MAX_BYTES) -> None:
        self._folder = folder
        self._max_bytes = max_bytes

    def load(self, key: str) -> Found:
        """Return the entry that was stored under ``key``."""
        path = self._path(key)
        try:
            with path.open("rb") as file:
                header = file.readline(_MAX_HEADER_BYTES)
                content = file.read()
            os.utime(path)
        except FileNotFoundError:
            return Found(None)
        except OSError as error:
            return Found(None, f"the cached file cannot be read: {error.strerror}")
        try:
            document = json.loads(header)
            entry = Entry(content, dict(document["facts"]))
            whole = document["sha256"] == _checksum(entry)
        except (ValueError, KeyError, TypeError):
            whole = False
        return Found(entry) if whole else Found(None, "the cached file is damaged")

    def store(self, key: str, entry: Entry) -> Optional[str]:
        """Write ``entry`` in one piece, in place of an older one; return why it could not be, or None."""
        header = {"sha256": _checksum(entry), "facts": entry.facts}
        path = self._path(key)
        partial = path.with_name(f"{path.name}.{uuid4().hex}.partial")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(json.dumps(header).encode() + b"\n" + entry.content)
            os.replace(partial, path)
            self._prune()
        except OSError as error:
            _LOG.warning("the engine cache in %s: %s", self._folder, error)
            if partial.exists():
                partial.unlink()
            return f"the cache cannot be written: {error.strerror}"
        return None

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.cache"

    def _prune(self) -> None:
        """Remove partly written files, and the least recently used entries beyond the limit; never the newest."""
        for leftover in self._folder.glob("*.partial"):
            leftover.unlink()
        newest_first = sorted(self._folder.glob("*.cache"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
        total = 0
        for index, path in enumerate(newest_first):
            total += path.stat().st_size
            if index and total > self._max_bytes:
                path.unlink()


def _checksum(entry: Entry) -> str:
    digest = hashlib.sha256(json.dumps(entry.facts, sort_keys=True).encode())
    digest.update(entry.content)
    return digest.hexdigest()
