"""Runs gates on several devices at the same time, each in its own thread.

Threads, not the durable workflows of :mod:`gdws.fleet`: a gate is one step of a pipeline, it holds a lease of the
device between its runs, and what it measures next depends on what it has measured. One that was killed is begun anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

from gdws.gate.session import Session

_Report = TypeVar("_Report")


def run_all(
    works: Sequence[Callable[[], _Report]], sessions: Sequence[Session]
) -> tuple[list[_Report], KeyboardInterrupt | None]:
    """The results of ``works``, in order, and the interrupt that ended them early, if any.

    An interrupt stops the sessions, which cancels the jobs on the devices; partial results are still returned. An
    exception of a work is raised once all have ended.
    """
    interrupt: KeyboardInterrupt | None = None
    with ThreadPoolExecutor(max_workers=len(works), thread_name_prefix="gate") as pool:
        futures = [pool.submit(work) for work in works]
        try:
            wait(futures)
        except KeyboardInterrupt as caught:
            interrupt = caught
            for session in sessions:
                session.stop()
            wait(futures)
    return [future.result() for future in futures], interrupt
