"""Streams of events: on the application where a job ends, on a real process where one goes on."""

import asyncio
import json
import signal

import httpx
import pytest
from fastapi.testclient import TestClient

from gdws_agent.api import job_events
from gdws_agent.api.app import create_app
from gdws_agent.api.examples import JOB
from gdws_agent.api.job_events import JobSubscribers
from gdws_agent.errors import TooManyStreams
from gdws_agent.jobs.events import JobEvent, JobEvents
from gdws_agent.storage.rows import JobText
from gdws_contract.rest import Cell, Job, Progress
from support.agent_process import running_agent
from support.agents import PATIENCE_S, agent, eventually, until_final

pytestmark = pytest.mark.timeout(PATIENCE_S)

FOUR = {"batch_sizes": [1, 8]}


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(job_events, "MIN_INTERVAL_S", 0.0)


def submit(client, bundle, **request):
    form = {"bundle": bundle, "request": (None, json.dumps(request))}
    return client.post("/benchmark", files=form).raise_for_status().json()["id"]


def parse(lines):
    """Yield (event, id, data) from the lines of a stream; a heartbeat is (None, None, None)."""
    event = number = data = None
    for line in lines:
        if not line:
            yield event, number, data
            event = number = data = None
        elif line.startswith(":"):
            continue
        else:
            name, _, value = line.partition(": ")
            if name == "event":
                event = value
            elif name == "id":
                number = int(value)
            elif name == "data":
                data = json.loads(value)


def events_of(response):
    assert response.status_code == 200, response.text
    return list(parse(response.text.splitlines()))


@pytest.fixture
def ended(tmp_path, worker, bundle):
    """A client of an agent and the id of a job of four cells that is done."""
    with agent(tmp_path / "data", worker) as service, TestClient(create_app(service)) as client:
        job_id = submit(client, bundle, **FOUR)
        until_final(service.jobs, job_id)
        yield client, job_id


def test_a_job_that_has_ended_is_told_whole_and_ends_the_stream(ended):
    client, job_id = ended
    response = client.get(f"/benchmark/{job_id}/events")
    found = events_of(response)

    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-store"
    assert [(event, number) for event, number, _ in found] == [*(("cell", n) for n in (1, 2, 3, 4)), ("end", None)]
    cells = [Cell.model_validate(data) for _, _, data in found[:4]]
    job = Job.model_validate(client.get(f"/benchmark/{job_id}").json())
    assert cells == job.cells
    assert Job.model_validate(found[-1][2]) == job.model_copy(update={"cells": []})


@pytest.mark.parametrize(
    ("last_id", "numbers"),
    [
        ("2", [3, 4]),
        ("4", []),
        # No stream of this job gave these, so whoever sends them has none of its cells.
        *((unknown, [1, 2, 3, 4]) for unknown in ("0", "5", "x", "-1", "\u00b2", "9" * 21, "9" * 5_000, "")),
    ],
)
def test_a_stream_goes_on_behind_the_last_event(ended, last_id, numbers):
    client, job_id = ended
    found = events_of(client.get(f"/benchmark/{job_id}/events", headers={"last-event-id": last_id.encode("latin-1")}))
    assert [number for event, number, _ in found if event == "cell"] == numbers


def test_an_unknown_job_is_a_problem(ended):
    client, _ = ended
    assert client.get("/benchmark/nope/events").json()["type"] == "urn:gdws:problem:job-not-found"


def test_a_running_job_is_told_as_it_goes_on(tmp_path, worker, bundle):
    worker.set_actions({"gdws@8": "hang"})
    with running_agent(tmp_path / "data", worker) as process:
        job_id = submit(process.client, bundle, **FOUR)
        with process.client.stream("GET", f"/benchmark/{job_id}/events") as response:
            events = parse(response.iter_lines())
            seen = []
            for event, _, data in events:
                seen.append(event)
                if event == "progress":
                    progress = Progress.model_validate(data)
                    assert "ends_in_s" in data
                    if progress.cells_finished == 2 and progress.stage == "build":
                        break
            assert seen.count("cell") == 2
            process.client.delete(f"/benchmark/{job_id}")
            rest = list(events)
        assert rest[-1][0] == "end"
        assert rest[-1][2]["state"] == "cancelled"
        assert process.get(f"/benchmark/{job_id}")["state"] == "cancelled"


def test_a_queued_job_is_told_its_place_when_the_one_before_it_ends(tmp_path, worker, bundle):
    worker.set_actions({"dense": "hang"})
    with running_agent(tmp_path / "data", worker) as process:
        first, second = (submit(process.client, bundle) for _ in range(2))
        worker.wait_until_reached()
        with process.client.stream("GET", f"/benchmark/{second}/events") as response:
            events = parse(response.iter_lines())
            event, _, data = next(events)
            assert (event, data["state"], data["queue_position"]) == ("state", "queued", 0)
            process.client.delete(f"/benchmark/{first}")
            states = (data["state"] for event, _, data in events if event == "state")
            assert next(states) == "running"


def test_a_stopping_agent_ends_its_streams_without_an_end(tmp_path, worker, bundle):
    worker.set_actions({"dense": "hang"})
    with running_agent(tmp_path / "data", worker) as process:
        job_id = submit(process.client, bundle)
        worker.wait_until_reached()
        with process.client.stream("GET", f"/benchmark/{job_id}/events") as response:
            events = parse(response.iter_lines())
            next(events)
            process.process.send_signal(signal.SIGTERM)
            assert "end" not in [event for event, _, _ in events]
        assert process.wait() == 0
    assert "Traceback" not in process.log.read_text()


def test_a_client_that_goes_away_frees_its_place(tmp_path, worker, bundle):
    worker.set_actions({"dense": "hang"})
    with running_agent(tmp_path / "data", worker) as process:
        job_id = submit(process.client, bundle)
        with process.client.stream("GET", f"/benchmark/{job_id}/events") as response:
            lines = response.iter_lines()
            next(lines)
            assert open_streams(process) == 1
        eventually(lambda: open_streams(process) == 0)


def open_streams(process):
    text = httpx.get(f"{process.url}/metrics", trust_env=False).text
    (line,) = [line for line in text.splitlines() if line.startswith("gdws_agent_event_streams ")]
    return float(line.split()[1])


class Jobs:
    """A queue of one job that never ends."""

    def __init__(self):
        self.events = JobEvents()

    def outline(self, job_id):
        return Job.model_validate({**JOB, "id": job_id, "cells": []})

    def text(self, job_id, after):
        return JobText(self.outline(job_id), [])


def test_the_number_of_streams_is_bounded_and_a_missing_job_takes_no_place():
    async def scenario():
        jobs = Jobs()
        subscribers = JobSubscribers(jobs, limit=2)
        for _ in range(2):
            await subscribers.stream("a", None)
        with pytest.raises(TooManyStreams) as caught:
            await subscribers.stream("a", None)
        assert caught.value.retry_after_s
        assert subscribers.count() == 2

        class Missing(Exception):
            pass

        def missing(job_id):
            raise Missing

        jobs.outline = missing
        more = JobSubscribers(jobs)
        with pytest.raises(Missing):
            await more.stream("b", None)
        assert more.count() == 0

    asyncio.run(scenario())


def test_what_happens_while_the_job_is_first_read_is_not_missed():
    class Late(Jobs):
        """A queue whose job gets on just behind each look at it."""

        def __init__(self):
            super().__init__()
            self.state = "queued"

        def outline(self, job_id):
            job = super().outline(job_id).model_copy(update={"state": self.state})
            if self.state == "queued":
                self.state = "running"
                self.events.tell(JobEvent(job_id, state="running"))
                self.events.tell(JobEvent(job_id, progress={"stage": "build"}))
            return job

    async def scenario():
        stream = await JobSubscribers(Late()).stream("a", None)
        async for piece in stream.body_iterator:
            assert not piece.startswith(":"), "it waits for news that came already"
            if piece.startswith("event: state") and '"state":"running"' in piece:
                return

    asyncio.run(scenario())


def test_a_silent_job_is_kept_alive_with_comments(monkeypatch):
    monkeypatch.setattr(job_events, "HEARTBEAT_S", 0.01)

    async def scenario():
        stream = await JobSubscribers(Jobs()).stream("a", None)
        pieces = []
        async for piece in stream.body_iterator:
            pieces.append(piece)
            if piece.startswith(":"):
                break
        return pieces

    pieces = asyncio.run(scenario())
    assert [piece.split("\n")[0] for piece in pieces[:2]] == ["event: state", "event: progress"]
    assert pieces[-1].startswith(": ")


def test_many_changes_are_told_together(monkeypatch):
    monkeypatch.setattr(job_events, "MIN_INTERVAL_S", 0.02)

    async def scenario():
        jobs = Jobs()
        subscribers = JobSubscribers(jobs)
        stream = (await subscribers.stream("a", None)).body_iterator
        told = [await stream.__anext__() for _ in range(2)]
        for number in range(1, 1_001):
            jobs.events.tell(JobEvent("a", progress={"stage": "measure", "round": number, "rounds": 1_000}))
            jobs.events.tell(JobEvent("another", progress={"stage": "measure", "round": 7, "rounds": 9}))
        told.append(await stream.__anext__())
        subscribers.close()
        return told + [piece async for piece in stream]

    told = asyncio.run(scenario())
    assert len(told) == 3
    assert json.loads(told[2].split("data: ")[1])["round"] == 1_000


def test_a_cell_is_one_line_for_every_client():
    """Some take for the end of a line what JSON lets stand."""
    text = json.dumps({"a": "x\u2028y\u2029z\x85\u20ac"}, ensure_ascii=False)
    event = job_events._cell_event(text.encode(), 1).decode()
    assert len(event.splitlines()) == 4
    assert json.loads(event.splitlines()[2][len("data: ") :]) == json.loads(text)
