import asyncio
import contextlib
from concurrent.futures import Future

from starlette.requests import Request

from gdws_agent.api.bodies import BodyLimits
from gdws_agent.api.long_polling import hold_until_final
from gdws_agent.storage.rows import JobText
from support.agents import PATIENCE_S, running_job

JOB = running_job()


class Jobs:
    """A queue with one job that others end."""

    def __init__(self):
        self.state = "running"
        self.told = Future()
        self.waiting = 0

    @contextlib.contextmanager
    def until_final(self, job_id):
        self.waiting += 1
        yield self.told
        self.waiting -= 1

    def outline(self, job_id):
        return JOB.model_copy(update={"state": self.state})

    def text(self, job_id, rounds):
        return JobText(self.outline(job_id), [])

    def end(self):
        self.state = "done"
        self.told.set_result(None)


class Client:
    """A client that sends no body and goes away when told, behind the bounds on bodies."""

    def __init__(self):
        self.gone = asyncio.Event()
        self.messages = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive(self):
        if self.messages and not self.gone.is_set():
            return self.messages.pop()
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def ask(self, jobs, timeout_s):
        async def application(scope, receive, send):
            self.answer = await hold_until_final(Request(scope, receive), jobs, "x", timeout_s)

        scope = {"type": "http", "method": "DELETE", "path": "/benchmark/x", "headers": []}
        await BodyLimits(application, max_upload_bytes=1)(scope, self.receive, None)
        return self.answer


def hold(timeout_s, meanwhile, jobs):
    async def both():
        client = Client()
        held = asyncio.ensure_future(client.ask(jobs, timeout_s))
        await asyncio.sleep(0)
        meanwhile(jobs, client)
        found = await asyncio.wait_for(held, PATIENCE_S)
        return found.job, [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]

    job, left = asyncio.run(both())
    assert left == []
    assert jobs.waiting == 0
    return job.state


def test_the_answer_comes_when_the_job_ends():
    assert hold(3600, lambda jobs, client: jobs.end(), Jobs()) == "done"


def test_the_answer_comes_when_the_time_is_over():
    assert hold(0.01, lambda jobs, client: None, Jobs()) == "running"


def test_waiting_ends_when_the_client_disconnects():
    assert hold(3600, lambda jobs, client: client.gone.set(), Jobs()) == "running"


def test_a_job_that_has_ended_before_is_not_waited_for():
    jobs = Jobs()
    jobs.state = "cancelled"
    assert hold(3600, lambda jobs, client: None, jobs) == "cancelled"


def test_without_a_wait_the_job_is_shown_as_it_is():
    assert hold(0, lambda jobs, client: None, Jobs()) == "running"


def test_an_end_that_is_told_at_once_leaves_nobody_waiting():
    """The wait for the client to go is given up in the very moment in which its request's end arrives."""
    jobs = Jobs()
    jobs.told.set_result(None)
    assert hold(3600, lambda jobs, client: None, jobs) == "running"
