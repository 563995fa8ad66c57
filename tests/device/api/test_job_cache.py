"""Answers that are kept for a moment, and never longer than they are true."""

import asyncio

import pytest

from gdws_agent.api.job_cache import KEPT_S, JobCache
from gdws_agent.errors import JobNotFound
from gdws_contract.rest import Job
from support.agents import running_job

JOB = running_job()


class World:
    """A store, a clock, and those who look; ``looks`` counts how often a job was put together."""

    def __init__(self):
        self.generation = 1
        self.now_s = 100.0
        self.job = JOB
        self.looks = 0
        self.meanwhile = lambda: None
        self.job_cache = JobCache(lambda: self.generation, lambda: self.now_s)

    def ask(self, job_id="x"):
        async def look():
            self.looks += 1
            job = self.job
            self.meanwhile()
            return job.state, job.model_copy(update={"id": job_id}).model_dump_json().encode().split()

        return Job.model_validate_json(b" ".join(asyncio.run(self.job_cache.body(job_id, look))))


@pytest.fixture
def world():
    return World()


def test_many_requests_cost_one_query(world):
    assert [world.ask() for _ in range(10)] == [JOB] * 10
    assert world.looks == 1


def test_it_is_kept_for_a_moment_alone(world):
    world.ask()
    world.now_s += KEPT_S
    world.job = JOB.model_copy(update={"run_s": 3.0})
    assert world.ask().run_s == 3.0


def test_what_is_stored_is_seen_at_once(world):
    world.ask()
    world.job = JOB.model_copy(update={"state": "done"})
    world.generation = 2
    assert world.ask().state == "done"


def test_while_something_is_stored_nothing_is_kept_and_nothing_kept_is_shown(world):
    world.ask()
    world.generation = None
    world.ask()
    world.ask()
    assert world.looks == 3
    world.generation = 2
    world.ask()
    assert world.looks == 4


def test_an_answer_is_not_cached_if_something_was_stored_during_its_query(world):
    def store():
        world.generation += 1

    world.meanwhile = store
    world.ask()
    world.meanwhile = lambda: None
    world.job = JOB.model_copy(update={"state": "done"})
    assert world.ask().state == "done"


@pytest.mark.parametrize("state", ["queued", "done", "failed", "cancelled", "interrupted"])
def test_only_a_running_job_is_kept(world, state):
    world.job = JOB.model_copy(update={"state": state})
    world.ask()
    world.ask()
    assert world.looks == 2


def test_another_job_is_another_answer(world):
    assert world.ask().id == "x"
    assert world.ask("y").id == "y"
    assert world.ask("y").id == "y"
    assert world.looks == 2


def test_what_is_not_there_is_told_each_time(world):
    async def look():
        raise JobNotFound("no benchmark 'z'")

    for _ in range(2):
        with pytest.raises(JobNotFound):
            asyncio.run(world.job_cache.body("z", look))
