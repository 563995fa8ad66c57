"""Job events streamed to clients as server-sent events (the ``text/event-stream`` of the HTML standard).

Events of a stream, each with JSON as its data:

=============  =================================================================================================
``state``      the job without its cells: at first, and when its state or its place in the queue changed
``progress``   the job's ``progress``, and when it is thought to end, as ``ends_in_s``
``cell``       a cell that ended; its id counts the job's cells
``end``        the job without its cells, once it is final; the stream ends with it
=============  =================================================================================================

A client that lost its stream sends the last id as ``Last-Event-ID`` and misses no cell, also when the agent was
restarted meanwhile: the id is a number of cells in the store, and nothing is kept for a client that is away.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import Any, AsyncIterator, Callable, Dict, Mapping, Optional, Set, Union

import anyio
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from gdws_agent.errors import TooManyStreams
from gdws_agent.jobs.events import JobEvent
from gdws_agent.jobs.queue import JobQueue, is_final
from gdws_contract.rest import Job

EVENT_STREAM = "text/event-stream"
MAX_STREAMS = 32
HEARTBEAT_S = 15.0
#: Events within this time are sent together, which keeps streams cheap.
MIN_INTERVAL_S = 0.25
#: Maximum age of a job's estimate in a progress event.
_STALE_S = 5.0
#: Ends of lines that may stand in JSON, escaped.
_LINE_BREAKS = {number: f"\\u{number:04x}" for number in (0x85, 0x2028, 0x2029)}


class JobSubscriber:
    """One client of one job. It lives in the event loop: what other threads tell it is taken there, in its turn."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        self.is_waiting = False
        #: Set when the job must be read anew, else ``progress`` has what is new.
        self.is_stale = False
        self.progress: Optional[Mapping[str, Any]] = None
        self.is_closed = False
        self._loop = asyncio.get_event_loop()
        self._woken = asyncio.Event()

    def notice(self, event: JobEvent) -> None:
        """Record an event; thread-safe."""
        self._call(self._take, event)

    def wake(self) -> None:
        """Make :meth:`wait` return; thread-safe."""
        self._call(self._woken.set)

    def _call(self, function: Callable[..., None], *args: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed, so nobody listens any more
            self._loop.call_soon_threadsafe(function, *args)

    def _take(self, event: JobEvent) -> None:
        if event.job_id != self.job_id:
            # Another job that ends or is cancelled moves the queue.
            if event.state is None or not self.is_waiting:
                return
            self.is_stale = True
        elif event.progress is not None:
            self.progress = event.progress
        else:
            self.is_stale = True
        self._woken.set()

    async def wait(self, timeout_s: float) -> bool:
        """Return whether something happened within ``timeout_s``."""
        with anyio.move_on_after(timeout_s) as scope:
            await self._woken.wait()
        if scope.cancelled_caught:
            return False
        self._woken.clear()
        return True


class JobSubscribers:
    """All clients with a stream of a job; their number is bounded."""

    def __init__(self, jobs: JobQueue, limit: int = MAX_STREAMS) -> None:
        self._jobs = jobs
        self._limit = limit
        self._open: Set[JobSubscriber] = set()
        self._is_closed = False
        jobs.events.subscribe(self._on_event)

    def count(self) -> int:
        """Return how many streams are open."""
        return len(self._open)

    async def stream(self, job_id: str, last_id: Optional[str]) -> EventStream:
        """Return the stream of ``job_id`` behind the event ``last_id``.

        Raises:
            JobNotFound: there is none of that id.
            TooManyStreams: as many clients as can be have a stream.
        """
        if len(self._open) >= self._limit:
            raise TooManyStreams(
                f"{self._limit} clients have a stream of events already",
                retry_after_s=60.0,
                hint="poll GET /jobs/{job_id} instead",
            )
        # Listens before the job is read, so that nothing that happens meanwhile is missed.
        subscriber = JobSubscriber(job_id)
        self._open.add(subscriber)
        try:
            job = await run_in_threadpool(self._jobs.outline, job_id)
        except BaseException:
            self._open.discard(subscriber)
            raise
        subscriber.is_closed = self._is_closed
        events = _events(self._jobs, subscriber, _cells_seen(last_id, job.progress.cells_finished))
        return EventStream(events, lambda: self._open.discard(subscriber))

    def close(self) -> None:
        """End all streams, now and later, because the agent stops."""
        self._is_closed = True
        for subscriber in list(self._open):
            subscriber.is_closed = True
            subscriber.wake()

    def _on_event(self, event: JobEvent) -> None:
        for subscriber in list(self._open):
            subscriber.notice(event)


class EventStream(StreamingResponse):
    """A streaming response; ``on_close`` is called when it ends for any reason."""

    def __init__(self, events: AsyncIterator[Union[str, bytes]], on_close: Any) -> None:
        # Proxies must pass each event on at once.
        super().__init__(events, media_type=EVENT_STREAM, headers={"X-Accel-Buffering": "no"})
        self._on_close = on_close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._on_close()


async def _events(jobs: JobQueue, subscriber: JobSubscriber, told_cells: int) -> AsyncIterator[Union[str, bytes]]:
    told_state: Optional[Dict[str, Any]] = None
    told_progress: Optional[Dict[str, Any]] = None
    job, cells = await run_in_threadpool(jobs.text, subscriber.job_id, after=told_cells)
    read_at_s = time.monotonic()
    while True:
        for cell in cells:
            told_cells += 1
            yield _cell_event(cell, told_cells)
            await asyncio.sleep(0)  # others are served between cells of megabytes
        cells = []
        if is_final(job):
            yield _event("end", _without_cells(job))
            return
        state = _state(job)
        if state != told_state:
            told_state = state
            yield _event("state", _without_cells(job))
        progress = _progress(job, time.monotonic() - read_at_s)
        if progress != told_progress:
            told_progress = progress
            yield _event("progress", progress)
        subscriber.is_waiting = job.state == "queued"
        await asyncio.sleep(MIN_INTERVAL_S)
        while not await subscriber.wait(HEARTBEAT_S):
            yield ": keep-alive\n\n"
        if subscriber.is_closed:
            return
        if subscriber.is_stale or time.monotonic() - read_at_s > _STALE_S:
            subscriber.is_stale, subscriber.progress, read_at_s = False, None, time.monotonic()
            job, cells = await run_in_threadpool(jobs.text, job.id, after=told_cells)
        elif subscriber.progress is not None:
            update, subscriber.progress = subscriber.progress, None
            job = job.model_copy(update={"progress": job.progress.model_copy(update=dict(update))})


def _event(name: str, data: Mapping[str, Any]) -> str:
    # JSON holds no line breaks, so one line of data does.
    return f"event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"


def _cell_event(cell: bytes, number: int) -> bytes:
    """Return the event that tells the JSON of a cell, which may be large and is passed on as it is stored."""
    # But for what Unicode takes for the end of a line and JSON does not: so do some clients.
    data = cell if cell.isascii() else cell.decode().translate(_LINE_BREAKS).encode()
    return b"event: cell\nid: %d\ndata: %b\n\n" % (number, data)


def _without_cells(job: Job) -> Dict[str, Any]:
    return job.model_dump(mode="json", exclude={"cells"})


def _state(job: Job) -> Dict[str, Any]:
    """Return what a ``state`` event is sent for when it changed."""
    return job.model_dump(mode="json", exclude={"cells", "progress", "request", "estimate", "run_s"})


def _progress(job: Job, age_s: float) -> Dict[str, Any]:
    """Return the data of a ``progress`` event for a job that was read ``age_s`` seconds ago."""
    ends_in_s = None if job.estimate is None else job.estimate.ends_in_s
    left_s = None if ends_in_s is None else round(max(0.0, ends_in_s - age_s), 1)
    return {**job.progress.model_dump(mode="json"), "ends_in_s": left_s}


def _cells_seen(last_id: Optional[str], cells: int) -> int:
    """Return how many of a job's ``cells`` a client has; an id that no stream of the job gave counts as none."""
    number = int(last_id) if last_id is not None and last_id.isdecimal() and len(last_id) < 10 else 0
    return number if number <= cells else 0
