"""The files of the dashboard, read once: a request picks one by its name and never reaches the file system."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Dict, Mapping, NamedTuple

PAGE = "index.html"
#: What is served, and what browsers are told of it.
MEDIA_TYPES: Mapping[str, str] = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FOLDER = Path(__file__).with_name("static")


class StaticFile(NamedTuple):
    """One file; ``etag`` changes with its content."""

    content: bytes
    media_type: str
    etag: str

    def is_known_by(self, if_none_match: str) -> bool:
        """Return whether a client that sends this header ``If-None-Match`` has the file as it is (RFC 9110)."""
        tags = [tag.strip() for tag in if_none_match.split(",")]
        return "*" in tags or any(tag in (self.etag, "W/" + self.etag) for tag in tags)


def load_files(folder: Path = _FOLDER) -> Dict[str, StaticFile]:
    """Return the files of ``folder`` by their names."""
    return {
        path.name: _load(path, MEDIA_TYPES[path.suffix])
        for path in sorted(folder.iterdir())
        if path.suffix in MEDIA_TYPES
    }


def _load(path: Path, media_type: str) -> StaticFile:
    content = path.read_bytes()
    return StaticFile(content, media_type, f'"{hashlib.sha256(content).hexdigest()[:32]}"')
