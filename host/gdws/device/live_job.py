"""Follows a benchmark by the agent's event stream, or by polling if there is none."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from httpx_sse import ServerSentEvent
from pydantic import ValidationError

from gdws.device.client import DeviceClient
from gdws.errors import DeviceProtocolError, DeviceRefused, DeviceUnreachable
from gdws_contract.parsing import first_fault
from gdws_contract.queueing import Estimate
from gdws_contract.rest import FINAL_STATES, Cell, Job, Progress


def watch(
    device: DeviceClient,
    job_id: str,
    *,
    reconnect_s: float = 20.0,
    retry_s: float = 0.5,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Job]:
    """The benchmark after each change, until it has ended.

    A lost stream is resumed after the last cell received, for up to ``reconnect_s`` seconds; then
    :class:`DeviceUnreachable` is raised. An agent without a stream, or without a free one, is polled every half second.
    """
    stand = _Stand()
    lost_since: float | None = None
    while True:
        try:
            for event in device.events(job_id, stand.last_id):
                lost_since = None
                job = stand.take(event, device.url)
                if job is None:
                    continue
                if job.state in FINAL_STATES:
                    yield device.job(job_id)  # the complete job: flags of cells can be added at the end
                    return
                yield job
        except DeviceUnreachable:
            now = clock()
            lost_since = now if lost_since is None else lost_since
            if now - lost_since >= reconnect_s:
                raise
        except (DeviceRefused, DeviceProtocolError):
            # If more than the stream is broken, polling raises the error.
            yield from device.follow(job_id, reconnect_s=reconnect_s, interval_s=retry_s, sleep=sleep, clock=clock)
            return
        sleep(retry_s)


class _Stand:
    """The state of one job, accumulated from its events."""

    def __init__(self) -> None:
        self._job: Job | None = None
        self._cells: list[Cell] = []

    @property
    def last_id(self) -> str | None:
        return str(len(self._cells)) if self._cells else None

    def take(self, event: ServerSentEvent, url: str) -> Job | None:
        """The job after ``event``; None while it is incomplete. Raises :class:`DeviceProtocolError`."""
        try:
            if event.event in ("state", "end"):
                self._job = Job.model_validate_json(event.data)
            elif event.event == "cell":
                self._cells.append(Cell.model_validate_json(event.data))
            elif event.event == "progress" and self._job is not None:
                told = _Progress.model_validate_json(event.data)
                progress = Progress.model_validate(told.model_dump(exclude={"ends_in_s"}))
                estimate = None if told.ends_in_s is None else Estimate(ends_in_s=told.ends_in_s)
                self._job = self._job.model_copy(update={"progress": progress, "estimate": estimate})
            else:  # an event of a later release, or a keep-alive
                return None
        except ValidationError as error:
            field, message = first_fault(error)
            raise DeviceProtocolError(f"{url}: event {event.event}: {field}: {message}", url=url) from error
        return None if self._job is None else self._job.model_copy(update={"cells": list(self._cells)})


class _Progress(Progress):
    """The data of an event ``progress``."""

    ends_in_s: float | None = None
