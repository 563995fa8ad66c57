"""A task repeated in the background at a steady pace."""

from __future__ import annotations

import logging
import threading
import time
from typing import Callable, Optional

_LOG = logging.getLogger(__name__)


class Periodic:
    """Calls ``task`` every ``interval_s`` seconds in a thread of its own, from ``start`` to ``stop``.

    Beats that a slow task misses are left out, not made up for. What the task raises is logged once and
    kept in :attr:`fault`; the next beat comes all the same.
    """

    def __init__(self, task: Callable[[], None], interval_s: float, name: str) -> None:
        self._task = task
        self._interval_s = interval_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.fault: Optional[Exception] = None

    def start(self) -> None:
        """Start, with the first call at once."""
        self._thread.start()

    def stop(self) -> None:
        """Stop, after the current call."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        beat = time.monotonic()
        while not self._stopped.wait(max(0.0, beat - time.monotonic())):
            try:
                self._task()
            except Exception as error:
                if self.fault is None:
                    _LOG.warning("%s: %s", self._thread.name, error)
                self.fault = error
            missed = max(0, int((time.monotonic() - beat) / self._interval_s))
            beat += (missed + 1) * self._interval_s
