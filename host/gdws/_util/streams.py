"""Standard output and standard error that never end a command, even if their reader goes away.

A character that the encoding lacks is written as one that looks like it, or as its escape. A reader that went away, a
terminal that hung up and a full disk lose the text, not the command: :func:`lost_output` tells. Only the standard
library is needed here.
"""

from __future__ import annotations

import codecs
import contextlib
import ctypes
import errno
import io
import os
import select
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from typing_extensions import Buffer

#: Replacements of our own characters, for encodings that lack them.
_LOOK_ALIKES = {"–": "-", "−": "-", "×": "x", "…": "...", "·": "*", "²": "^2", "█": "#"}
_ERRORS = "gdws.readable"

#: Errors that mean that there is no reader, so nobody misses the output.
_NO_READER = (errno.EPIPE, errno.EBADF, errno.EIO)


class _Output(io.RawIOBase):
    """Writes to a descriptor; after the first error, ``lost``, further output is dropped."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.lost: OSError | None = None

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, block: Buffer) -> int:
        size = memoryview(block).nbytes
        written = None if self.lost is None else size
        while written is None:
            written = self._try(block, size)
        return written

    def _try(self, block: Buffer, size: int) -> int | None:
        """The bytes that are done with; None where a pipe that somebody made non-blocking was full until now."""
        try:
            return os.write(self._descriptor, block)
        except BlockingIOError:
            select.select([], [self._descriptor], [])
            return None
        except OSError as error:
            self.lost = error
            return size


def make_robust() -> None:
    """Replace ``sys.stdout`` and ``sys.stderr`` by streams that raise nothing when they are written to."""
    sys.stdout = _robust(sys.stdout)
    sys.stderr = _robust(sys.stderr)


def lost_output() -> OSError | None:
    """The error by which output was lost that somebody may need; None if there is none."""
    sys.stdout.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    lost = raw.lost if isinstance(raw, _Output) else None
    return None if lost is None or lost.errno in _NO_READER else lost


@contextlib.contextmanager
def nothing_printed() -> Iterator[None]:
    """Drop what libraries in C print to standard output meanwhile, where results belong alone."""
    sys.stdout.flush()
    try:
        kept = os.dup(1)
    except OSError:  # it is closed
        yield
        return
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)
        yield
    finally:
        if os.name == "posix":
            ctypes.CDLL(None).fflush(None)  # C keeps what goes to a pipe in a buffer
        os.dup2(kept, 1)
        os.close(kept)


def _readable(error: UnicodeError) -> tuple[str, int]:
    """A codec error handler that replaces what cannot be encoded by something readable."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_LOOK_ALIKES.get(each) or ascii(each)[1:-1] for each in lacking), error.end


codecs.register_error(_ERRORS, _readable)


def _robust(stream: TextIO | None) -> TextIO:
    if stream is None:  # its descriptor is closed: this takes it, lest a file that is opened later be printed to
        return open(os.devnull, "w", encoding="utf-8", errors=_ERRORS)
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    if os.name == "nt":  # consoles are not written to as files are
        stream.reconfigure(errors=_ERRORS)
        return stream
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_Output(stream.fileno())),
        encoding=stream.encoding,
        errors=_ERRORS,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
