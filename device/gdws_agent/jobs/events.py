"""Events of jobs, passed on at once to subscribers: metrics, log lines, event streams."""

from __future__ import annotations

import logging
from typing import Any, Callable, List, Mapping, NamedTuple, Optional

from gdws_contract.rest import Cell, JobState

_LOG = logging.getLogger(__name__)


class JobEvent(NamedTuple):
    """One event of one job.

    Either its ``state`` changed; or it got on, and ``progress`` has the fields of
    :class:`~gdws_contract.rest.Progress` that are new; or a ``cell`` of it ended.
    """

    job_id: str
    state: Optional[JobState] = None
    progress: Optional[Mapping[str, Any]] = None
    cell: Optional[Cell] = None


class JobEvents:
    """Passes each event on to all subscribers, in the thread in which it happens. They must be quick."""

    def __init__(self) -> None:
        self._subscribers: List[Callable[[JobEvent], None]] = []

    def subscribe(self, subscriber: Callable[[JobEvent], None]) -> None:
        """Call ``subscriber`` with each event from now on."""
        self._subscribers = [*self._subscribers, subscriber]

    def tell(self, event: JobEvent) -> None:
        """Notify all subscribers; an error of one is logged and does not affect the others."""
        for subscriber in self._subscribers:
            _tell_one(subscriber, event)


def _tell_one(subscriber: Callable[[JobEvent], None], event: JobEvent) -> None:
    try:
        subscriber(event)
    except Exception:
        _LOG.exception("a subscriber failed on an event of job %s", event.job_id)
