"""A folder that keeps what was found, so that nothing is done twice when a search is interrupted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gdws._util.files import write_atomic
from gdws.errors import ResultError


class State:
    """Results by what they depend on: a name and a ``key`` of JSON values, of which a digest names the file.

    So a search that is run again, to its end or towards another goal, finds all that still holds and only that.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str, key: Any, suffix: str = ".json") -> Path:
        """Where the result of ``name`` for ``key`` lies, or would."""
        return self.folder / f"{name}-{digest(key)}{suffix}"

    def recall(self, name: str, key: Any, make: Callable[[], Any]) -> Any:
        """The JSON value that ``make`` gave before for ``key``, or gives now.

        Raises :class:`~gdws.errors.ResultError` for a file that is damaged, and OSError.
        """
        path = self.path(name, key)
        if path.exists():
            try:
                return json.loads(path.read_bytes())
            except ValueError as error:
                raise ResultError(
                    f"{path} is damaged: {error}", hint="delete it: its contents are computed again"
                ) from error
        value = make()
        write_atomic(path, json.dumps(value).encode())
        return value


def digest(key: Any) -> str:
    """A short name of JSON values."""
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
