from __future__ import annotations

import asyncio
import contextlib
from concurrent.futures import Future

from gdws_agent.holding import hold_until_final
from gdws_contract.rest import Job, Progress
from support.agents import PATIENCE_S, resolved

JOB = Job(
    id="x",
    state="running",
    request=resolved("0" * 64),
    created_at="now",
    progress=Progress(cells_total=1, cells_finished=0),
)


class Jobs:
    """A queue with one job that others end."""

    def __init__(self):
        self.state = "running"
        self.told = Future()
        self.watched = 0

    @contextlib.contextmanager
    def watch(self, job_id):
        self.watched += 1
        yield self.told
        self.watched -= 1

    def job(self, job_id):
        return JOB.model_copy(update={"state": self.state})

    def end(self):
        self.state = "done"
        self.told.set_result(None)


class Request:
    """A client that goes away when told."""

    def __init__(self):
        self.gone = asyncio.Event()

    async def receive(self):
        await self.gone.wait()
        return {"type": "http.disconnect"}


def hold(timeout_s, meanwhile, jobs):
    async def both():
        request = Request()
        held = asyncio.ensure_future(hold_until_final(request, jobs, "x", timeout_s))
        await asyncio.sleep(0)
        meanwhile(jobs, request)
        job = await asyncio.wait_for(held, PATIENCE_S)
        return job, [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]

    job, left = asyncio.run(both())
    assert left == []
    assert jobs.watched == 0
    return job.state


def test_the_answer_comes_when_the_job_ends():
    assert hold(3600, lambda jobs, request: jobs.end(), Jobs()) == "done"


def test_the_answer_comes_when_the_time_is_over():
    assert hold(0.01, lambda jobs, request: None, Jobs()) == "running"


def test_nobody_is_waited_for_who_has_gone_away():
    assert hold(3600, lambda jobs, request: request.gone.set(), Jobs()) == "running"


def test_a_job_that_has_ended_before_is_not_waited_for():
    jobs = Jobs()
    jobs.state = "cancelled"
    assert hold(3600, lambda jobs, request: None, jobs) == "cancelled"


def test_without_a_wait_the_job_is_shown_as_it_is():
    assert hold(0, lambda jobs, request: None, Jobs()) == "running"
