"""The data folder: its layout, its lock, and its permissions."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import shutil
import stat
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Iterable, Iterator, Optional, Type

from gdws_agent.errors import DataUnusable

_LOG = logging.getLogger(__name__)

#: Files of an agent at the top of its folder: the folder may hold others, which are not its business.
_FILES = ("agent.db*", "clocks.json*", "lock", "token", "read-token")

_FULL = (errno.ENOSPC, errno.EDQUOT)


def is_full(error: OSError) -> bool:
    """Return whether ``error`` says that no space is left."""
    return error.errno in _FULL


class DataFolder:
    """An agent's data folder, locked for as long as the object is open.

    The lock is the kernel's, so it ends with the process however that ends.
    """

    def __init__(self, path: Path) -> None:
        """Create the folder where it is missing, lock it, keep others out, and drop what was cut off.

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
        scratch = path / "scratch"  # of workers, each of which has a folder in it
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock: BinaryIO = open(path / "lock", "ab")  # noqa: SIM115 - held until close()
        except OSError as error:
            raise _unusable(path, error) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for folder in (self.uploads, scratch):
                shutil.rmtree(str(folder), ignore_errors=True)
            for folder in (self.models, self.uploads, self.cache, scratch):
                folder.mkdir(mode=0o700, exist_ok=True)
            _keep_others_out(path, (self.models, self.cache))
            _probe(self.uploads)
        except BlockingIOError as error:
            self._lock.close()
            message = f"data folder {path} is in use by another agent"
            raise DataUnusable(message, hint="stop that one, or give --data-dir") from error
        except OSError as error:
            self._lock.close()
            raise _unusable(path, error) from error

    def close(self) -> None:
        """Release the folder."""
        self._lock.close()

    def __enter__(self) -> DataFolder:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()


def _keep_others_out(path: Path, folders: Iterable[Path]) -> None:
    """Remove other users' permissions that earlier releases, or another umask, left.

    A folder that everybody may write to, such as /tmp, is left as it is, and so is what belongs to somebody else.
    """
    kept = [each for each in _belongings(path, folders) if not _is_closed(each)]
    if kept:
        _LOG.warning("other users may read %s and %d more: another user owns them", kept[0], len(kept) - 1)


def _is_closed(path: Path) -> bool:
    """Tell whether others cannot read ``path`` now, or may; False where it is somebody else's to say."""
    try:
        mode = path.lstat().st_mode
        if stat.S_IMODE(mode) & 0o077 and not (stat.S_ISLNK(mode) or mode & stat.S_ISVTX):
            path.chmod(0o700 if stat.S_ISDIR(mode) else 0o600)
    except FileNotFoundError:
        return True
    except PermissionError:
        return False
    return True


def _belongings(path: Path, folders: Iterable[Path]) -> Iterator[Path]:
    yield path
    for pattern in _FILES:
        yield from path.glob(pattern)
    for folder in folders:
        for parent, _, names in os.walk(str(folder)):
            yield Path(parent)
            yield from (Path(parent, name) for name in names)


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
