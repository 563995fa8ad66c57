"""Atomic writing of files: readers see the old content or the new, never a part."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from gdws_contract.archive_writer import require_file


def write_atomic(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path``, creating its folder if necessary.

    The content goes to a temporary neighbour, to the disk, and then over ``path`` in one step, so that
    a full disk or an interrupt leaves the former file as it was.

    Raises:
        OSError: the folder cannot be made, the file cannot be written, or ``path`` is no file, e.g. a device.
    """
    require_file(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = _temporary_neighbour(path)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(name)
        if isinstance(error, OSError):
            error.filename = str(path)  # a failed write does not say where
        raise


def require_writable(path: Path) -> None:
    """Raise OSError now if a file could not be written to ``path`` later, before hours of work for it."""
    require_file(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = _temporary_neighbour(path)
    os.close(descriptor)
    os.unlink(name)


def _temporary_neighbour(path: Path) -> tuple[int, str]:
    """An open descriptor and the name of a new file beside ``path``."""
    return tempfile.mkstemp(prefix=f".{path.name[:100]}.", suffix=".part", dir=path.parent)


def _umask() -> int:
    """The process's file mode mask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
