"""Requests to stop measuring, from any thread or by the time limit."""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
from typing import Iterator, Optional

from typing_extensions import Literal

Reason = Literal["cancel", "stop", "time-limit"]


class Interrupt:
    """A request to stop that wakes a thread waiting on file descriptors.

    After ``limit_s`` it makes itself, heard by whoever asks for the reason: no thread keeps the time, since a machine
    may have none left.
    """

    def __init__(self, limit_s: float = math.inf) -> None:
        self._reason: Optional[Reason] = None
        self._ends_s = time.monotonic() + limit_s
        self._lock = threading.Lock()
        self._requested = threading.Event()
        self._writer: Optional[int] = None
        self._open = True

    @property
    def reason(self) -> Optional[Reason]:
        """The reason to stop; None if there is none."""
        if self._reason is None and time.monotonic() >= self._ends_s:
            self.request("time-limit")
        return self._reason

    def request(self, reason: Reason) -> None:
        """Request to stop; the first reason counts."""
        with self._lock:
            if self._open and self._reason is None:
                self._reason = reason
                self._requested.set()
                self._signal()

    def left_s(self) -> float:
        """Return how long it is until the time limit."""
        return max(0.0, self._ends_s - time.monotonic())

    def wait(self, timeout_s: float) -> None:
        """Return when there is a reason to stop, or after ``timeout_s``."""
        self._requested.wait(min(timeout_s, self.left_s()))

    @contextlib.contextmanager
    def descriptor(self) -> Iterator[int]:
        """A descriptor that is readable once :meth:`request` was called.

        Raises:
            OSError: there is none left.
        """
        reader, writer = os.pipe()
        try:
            with self._lock:
                self._writer = writer
                if self._reason is not None:
                    self._signal()
            yield reader
        finally:
            with self._lock:
                self._writer = None
            os.close(reader)
            os.close(writer)

    def close(self) -> None:
        """Ignore later requests."""
        with self._lock:
            self._open = False

    def _signal(self) -> None:
        if self._writer is not None:
            os.write(self._writer, b"!")
