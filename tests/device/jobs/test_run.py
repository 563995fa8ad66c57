"""A job on a machine that lacks something: it waits, says so, and records nothing as a result of a network."""

import errno
import itertools
import os

import pytest

from gdws_agent.board.clocks import Clocks, ClockState
from gdws_agent.errors import ClocksUnavailable
from gdws_agent.jobs import run as module
from gdws_agent.jobs import runner
from gdws_agent.machine import MACHINE_SHORT
from gdws_agent.probes import Probes
from gdws_agent.storage.library import check_bundle
from support.agents import PATIENCE_S, FakeWorker, agent, available, eventually, resolved, states, until_final
from support.bundles import tiny_bundle

pytestmark = pytest.mark.timeout(PATIENCE_S)

WAITING = "waiting for the machine"


@pytest.fixture(autouse=True)
def _brief_waits(monkeypatch):
    monkeypatch.setattr(module, "RETRY_S", (0.0, 0.001))


@pytest.fixture
def bench(tmp_path):
    """Return a function that opens an agent with a bundle and a scripted worker, and gives both."""

    def open_agent(actions=None, **options):
        worker = FakeWorker(tmp_path / "worker", actions)
        return worker, agent(tmp_path / "data", worker, **options)

    return open_agent


def submit(service, tmp_path, **fields):
    bundle = check_bundle(tiny_bundle(tmp_path / "tiny.gdws", net="linear"))
    info, _ = service.library.add(bundle)
    service.jobs.start()
    return service.jobs.submit(resolved(info.id, **fields)).id


def short_of_descriptors(monkeypatch, times):
    """Have the agent find no descriptor for a worker, so often."""
    left = itertools.count(1)
    make = runner._Worker

    def refuse(*arguments):
        if next(left) <= times:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return make(*arguments)

    monkeypatch.setattr(runner, "_Worker", refuse)


def test_a_worker_that_could_not_be_started_is_started_later(bench, tmp_path, monkeypatch, caplog):
    short_of_descriptors(monkeypatch, 3 * module.MAX_SHORT_WORKERS)
    _, opened = bench()
    with opened as service:
        job = until_final(service.jobs, submit(service, tmp_path))
    assert (job.state, states(job)) == ("done", {"dense@1": "done", "gdws@1": "done"})
    assert "waiting 0 s for the machine: the worker could not be started: [Errno 24] Too many open files" in caplog.text


def test_a_worker_that_lacked_something_is_run_again(bench, tmp_path):
    worker, opened = bench({"gdws": "short-twice"})
    with opened as service:
        job = until_final(service.jobs, submit(service, tmp_path))
    assert (job.state, states(job)) == ("done", {"dense@1": "done", "gdws@1": "done"})
    assert len(worker.orders()) == 3


def test_a_lasting_shortage_fails_the_job_and_no_cell(bench, tmp_path):
    worker, opened = bench({"gdws": "short"})
    with opened as service:
        job = until_final(service.jobs, submit(service, tmp_path))
    assert (job.state, job.error.code, states(job)) == ("failed", MACHINE_SHORT, {})
    assert "No space left on device" in job.error.detail
    assert len(worker.orders()) == module.MAX_SHORT_WORKERS


def test_a_job_that_waits_for_resources_says_so_and_can_be_cancelled(bench, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "RETRY_S", (10.0 * PATIENCE_S,))
    short_of_descriptors(monkeypatch, 1_000)
    _, opened = bench()
    with opened as service:
        job_id = submit(service, tmp_path)
        eventually(lambda: service.jobs.job(job_id).progress.stage == WAITING)
        service.jobs.cancel(job_id)
        job = until_final(service.jobs, job_id)
    assert (job.state, states(job)) == ("cancelled", {})


def test_a_job_that_waits_for_resources_resumes_after_a_restart(bench, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "RETRY_S", (10.0 * PATIENCE_S,))
    _, opened = bench()
    with monkeypatch.context() as patch, opened as service:
        short_of_descriptors(patch, 1_000)
        job_id = submit(service, tmp_path)
        eventually(lambda: service.jobs.job(job_id).progress.stage == WAITING)
    with agent(tmp_path / "data", FakeWorker(tmp_path / "second")) as service:
        service.jobs.start()
        assert until_final(service.jobs, job_id).state == "done"


def test_a_shortage_that_uses_up_the_job_time_fails_no_cell(bench, tmp_path, monkeypatch):
    short_of_descriptors(monkeypatch, 10**9)
    _, opened = bench(max_job_time_s=0.2)
    with opened as service:
        job = until_final(service.jobs, submit(service, tmp_path))
    assert (job.state, job.error.code, states(job)) == ("failed", MACHINE_SHORT, {})


def test_a_job_waits_where_the_agent_cannot_even_look_for_a_power_sensor(bench, tmp_path):
    left = itertools.count(1)

    def look():
        if next(left) <= 3:
            raise OSError(errno.EMFILE, "Too many open files")
        return [available("ina3221")]

    worker, opened = bench(probes=Probes(lambda: [available()], look))
    with opened as service:
        job = until_final(service.jobs, submit(service, tmp_path))
    assert (job.state, states(job)) == ("done", {"dense@1": "done", "gdws@1": "done"})
    assert [order["power_sensor"] for order in worker.orders()] == ["ina3221"]


def test_clocks_that_cannot_be_restored_for_want_of_descriptors_fail_no_job(bench, tmp_path, monkeypatch):
    def refuse(clocks):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(Clocks, "is_taken", lambda clocks: True)
    monkeypatch.setattr(Clocks, "restore", refuse)
    _, opened = bench()
    with opened as service:
        job = until_final(service.jobs, submit(service, tmp_path))
    assert (job.state, states(job)) == ("done", {"dense@1": "done", "gdws@1": "done"})
    assert {flag.code for cell in job.cells for flag in cell.flags} == {"clocks-not-restored"}


def test_a_power_mode_that_cannot_be_set_for_want_of_descriptors_is_set_later(bench, tmp_path, monkeypatch):
    left = itertools.count(1)

    def refuse(clocks, mode, fixed, give_up):
        if next(left) <= 2:
            raise ClocksUnavailable("no connection to jtop") from OSError(errno.EMFILE, "Too many open files")
        return ClockState(jetson_clocks=True)

    monkeypatch.setattr(Clocks, "take", refuse)
    _, opened = bench()
    with opened as service:
        job = until_final(service.jobs, submit(service, tmp_path, jetson_clocks=True))
    assert (job.state, states(job)) == ("done", {"dense@1": "done", "gdws@1": "done"})
    assert next(left) == 4
