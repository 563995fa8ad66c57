"""Following a job by its events, and by asking where there are none."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx
import pytest

from gdws.device.client import EVENT_STREAM, DeviceClient
from gdws.device.live_job import watch
from gdws.errors import DeviceRefused, DeviceUnreachable
from gdws_contract.problems import CONTENT_TYPE, Problem
from gdws_contract.rest import Job
from support.benchmark_results import DENSE, KEPT, result

JOB = result([DENSE, KEPT]).job
CELLS = JOB.cells
assert len(CELLS) == 2


def event(name: str, data: object, number: int | None = None) -> str:
    id_line = "" if number is None else f"id: {number}\n"
    return f"event: {name}\n{id_line}data: {json.dumps(data)}\n\n"


def state(name: str) -> dict[str, object]:
    return JOB.model_copy(update={"state": name, "cells": []}).model_dump(mode="json")


def cell(number: int) -> str:
    return event("cell", CELLS[number - 1].model_dump(mode="json"), number)


PROGRESS = {"cells_total": 2, "cells_finished": 1, "stage": "measure", "round": 3, "rounds": 10, "ends_in_s": 7.5}


class Agent:
    """Answers each request for events with the next of ``streams``, and all others with the whole job."""

    def __init__(self, *streams: object) -> None:
        self.streams = list(streams)
        self.last_ids: list[str | None] = []
        self.asked = 0
        self.now = 0.0

    def handler(self, request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("/events"):
            self.asked += 1
            return httpx.Response(200, json=JOB.model_dump(mode="json"))
        self.last_ids.append(request.headers.get("last-event-id"))
        stream = self.streams.pop(0) if len(self.streams) > 1 else self.streams[0]
        if isinstance(stream, Exception):
            raise stream
        if isinstance(stream, httpx.Response):
            return stream
        return httpx.Response(200, text=str(stream), headers={"content-type": EVENT_STREAM})

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def watch(self) -> list[Job]:
        client = DeviceClient("http://device:8000", transport=httpx.MockTransport(self.handler))
        return list(watch(client, "job-1", sleep=self.sleep, clock=lambda: self.now))


def test_each_event_gives_the_job_as_it_stands_then() -> None:
    text = event("state", state("running")) + cell(1) + event("progress", PROGRESS) + ": still here\n\n" + cell(2)
    agent = Agent(text + event("end", state("done")))
    jobs = agent.watch()

    assert [(job.state, len(job.cells)) for job in jobs] == [
        ("running", 0), ("running", 1), ("running", 1), ("running", 2), ("done", 2),
    ]  # fmt: skip
    assert jobs[1].cells == CELLS[:1]
    assert (jobs[2].progress.round, jobs[2].estimate and jobs[2].estimate.ends_in_s) == (3, 7.5)
    assert jobs[-1] == JOB
    assert agent.asked == 1


@pytest.mark.parametrize("lost", ["", ": still here\n\n", httpx.ReadError("reset"), httpx.ConnectError("refused")])
def test_a_stream_that_is_lost_is_taken_up_behind_the_last_cell(lost: object) -> None:
    agent = Agent(event("state", state("running")) + cell(1), lost, lost, cell(2) + event("end", state("done")))
    jobs = agent.watch()
    assert agent.last_ids == [None, "1", "1", "1"]
    assert [len(job.cells) for job in jobs][-2:] == [2, 2]


def test_an_agent_that_stays_away_is_given_up() -> None:
    agent = Agent(event("state", state("running")), httpx.ConnectError("refused"))
    with pytest.raises(DeviceUnreachable):
        agent.watch()
    assert 20 <= agent.now < 22


def problem(status: int, code: str) -> httpx.Response:
    body = Problem(type=f"urn:gdws:problem:{code}", title=code, status=status).model_dump_json()
    return httpx.Response(status, text=body, headers={"content-type": CONTENT_TYPE})


@pytest.mark.parametrize(
    "make",
    [
        lambda: problem(404, "not-found"),
        lambda: problem(429, "too-many-listeners"),
        lambda: httpx.Response(200, json=JOB.model_dump(mode="json")),
        lambda: event("state", {"what": 1}),
        lambda: event("state", state("running")) + event("cell", {}, 1),
    ],
)
def test_without_a_stream_the_agent_is_asked(make: Callable[[], object]) -> None:
    agent = Agent(make())
    assert agent.watch()[-1] == JOB
    assert agent.asked == 1


def test_a_job_that_is_not_there_is_refused() -> None:
    client = DeviceClient(
        "http://device:8000", transport=httpx.MockTransport(lambda request: problem(404, "job-not-found"))
    )
    with pytest.raises(DeviceRefused):
        list(watch(client, "job-1"))


def test_unknown_events_are_passed_over() -> None:
    agent = Agent(event("weather", {"sun": True}) + event("state", state("running")) + event("end", state("done")))
    assert agent.watch()[-1] == JOB
