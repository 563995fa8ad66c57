"""Waiters for the end of a job, without a thread for each."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import Future, InvalidStateError
from typing import Dict, Iterator, List


class Waiters:
    """Futures by job. All methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._futures: Dict[str, List[Future[None]]] = {}
        self._released = False

    @contextlib.contextmanager
    def future(self, job_id: str) -> Iterator[Future[None]]:
        """A future that is done as soon as the job is told to have ended, or all are released."""
        future: Future[None] = Future()
        with self._lock:
            if self._released:
                future.set_result(None)
            self._futures.setdefault(job_id, []).append(future)
        try:
            yield future
        finally:
            with self._lock:
                self._futures[job_id].remove(future)
                if not self._futures[job_id]:
                    del self._futures[job_id]

    def count(self, job_id: str) -> int:
        """Return how many wait for a job."""
        with self._lock:
            return len(self._futures.get(job_id, []))

    def tell(self, job_id: str) -> None:
        """Notify the waiters of ``job_id`` that it has ended."""
        with self._lock:
            _set(self._futures.get(job_id, []))

    def release(self) -> None:
        """Release all waiters, now and in future."""
        with self._lock:
            self._released = True
            for futures in self._futures.values():
                _set(futures)


def _set(futures: List[Future[None]]) -> None:
    for future in futures:
        with contextlib.suppress(InvalidStateError):  # told before, or nobody waits any more
            future.set_result(None)
