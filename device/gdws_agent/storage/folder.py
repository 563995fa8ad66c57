"""The data folder: where things lie in it, and that one agent alone uses it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import shutil
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Optional, Type

from gdws_agent.errors import DataUnusable

_FULL = (errno.ENOSPC, errno.EDQUOT)


def is_full(error: OSError) -> bool:
    """Return whether ``error`` says that no space is left."""
    return error.errno in _FULL


class DataFolder:
    """An agent's data folder, locked for as long as the object is open.

    The lock is the kernel's, so it ends with the process however that ends.
    """

    def __init__(self, path: Path) -> None:
        """Create the folder where it is missing, lock it, and drop what cut-off uploads left.

        Raises:
            DataUnusable: it cannot be written, is full, or another agent uses it.
        """
        path = path.absolute()
        self.path = path
        self.database = path / "agent.db"
        self.models = path / "models"
        self.uploads = path / "uploads"
        self.cache = path / "cache"
        self.clocks = path / "clocks.json"
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock: BinaryIO = open(path / "lock", "ab")  # noqa: SIM115 - held until close()
        except OSError as error:
            raise _unusable(path, error) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(str(self.uploads), ignore_errors=True)
            for folder in (self.models, self.uploads, self.cache):
                folder.mkdir(exist_ok=True)
            _probe(self.uploads)
        except BlockingIOError as error:
            self._lock.close()
            message = f"data folder {path} is in use by another agent"
            raise DataUnusable(message, hint="stop that one, or give --data-dir") from error
        except OSError as error:
            self._lock.close()
            raise _unusable(path, error) from error

    def close(self) -> None:
        """Let the folder go."""
        self._lock.close()

    def __enter__(self) -> DataFolder:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()


def _probe(folder: Path) -> None:
    """Write a block, so that a full or read-only disk is found now and not by the first client."""
    probe = folder / "probe"
    try:
        probe.write_bytes(bytes(4_096))
    finally:
        with contextlib.suppress(FileNotFoundError):
            probe.unlink()


def _unusable(path: Path, error: OSError) -> DataUnusable:
    if is_full(error):
        return DataUnusable(f"data folder {path}: no space left on the disk", hint="free some, or give --data-dir")
    return DataUnusable(f"data folder {path} cannot be used: {error.strerror}", hint="give --data-dir")
