"""Results of many cells and rounds: a look at them costs no more than to send their bytes, and holds nobody up."""

import contextlib
import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from gdws_agent.api.app import create_app
from gdws_agent.errors import StorageFailed
from gdws_agent.storage.library import check_bundle
from gdws_agent.storage.recovery import Notices, set_aside
from gdws_contract.measures import RoundSummary
from gdws_contract.rest import Cell, Health, Job
from support.agents import PATIENCE_S, FakeWorker, agent, cell, eventually, resolved

pytestmark = pytest.mark.timeout(PATIENCE_S)

CELLS, ROUNDS = 24, 500
#: More than the threads that serve requests.
CLIENTS = 60


@pytest.fixture
def large(service, bundle_path):
    """A job that has ended, with many cells."""
    store = service.jobs._store
    info, _ = service.library.add(check_bundle(Path(shutil.copy(str(bundle_path), str(service.folder.uploads)))))
    rounds = [RoundSummary(index=index, count=100, median_ms=1.25, duration_s=0.1) for index in range(ROUNDS)]
    with service.jobs._condition:  # so that a queue that has just started does not run the job itself
        job_id = store.add_job(resolved(info.id, batch_sizes=list(range(1, CELLS + 1)), variants=["dense"])).id
        store.begin_next()
        for number in range(1, CELLS + 1):
            store.add_cell(job_id, cell(batch_size=number).model_copy(update={"rounds": rounds}), 1.0)
        store.finish(job_id, "done")
    return store.job(job_id)


def test_rounds_are_told_unless_they_are_not_wanted(client, large):
    whole = client.get(f"/benchmark/{large.id}")
    for params in ({"rounds": "true"}, {"wait": 1}):
        assert client.get(f"/benchmark/{large.id}", params=params).content == whole.content
    assert Job.model_validate_json(whole.content) == large

    for params in ({"rounds": "false"}, {"rounds": "false", "wait": 1}):
        light = client.get(f"/benchmark/{large.id}", params=params)
        bare = [measured.model_copy(update={"rounds": []}) for measured in large.cells]
        assert Job.model_validate_json(light.content) == large.model_copy(update={"cells": bare})
        assert len(light.content) < len(whole.content) / 20


def test_showing_a_job_neither_parses_nor_serialises_its_cells(client, large, monkeypatch):
    """Cells that were stored are passed on as they are; to check and write them anew takes seconds."""

    def refuse(*arguments, **options):
        raise AssertionError("a cell was read or written")

    monkeypatch.setattr(Cell, "model_validate_json", refuse)
    monkeypatch.setattr(Cell, "model_dump", refuse)
    monkeypatch.setattr(Cell, "model_dump_json", refuse)
    whole = client.get(f"/benchmark/{large.id}").json()

    assert client.get(f"/benchmark/{large.id}", params={"rounds": "false"}).json()["id"] == large.id
    assert client.delete(f"/benchmark/{large.id}").json() == whole
    events = client.get(f"/benchmark/{large.id}/events").text.splitlines()
    told = [json.loads(line[len("data: ") :]) for line in events if line.startswith("data: ")]
    assert told[:-1] == whole["cells"]
    assert client.get("/benchmark").json()["jobs"][0]["cells"] == []


def test_the_running_job_in_the_queue_is_the_job_itself(bundle, client, tmp_path):
    worker = FakeWorker(tmp_path / "another", {"gdws": "hang"})
    with agent(tmp_path / "more", worker) as service, TestClient(create_app(service)) as asked:
        job_id = asked.post("/benchmark", files={"bundle": bundle}).json()["id"]
        worker.wait_until_reached()
        queue, job = asked.get("/queue").json(), asked.get(f"/benchmark/{job_id}").json()
        for moment in ("estimate", "run_s"):
            queue["running"].pop(moment), job.pop(moment)
        assert queue["running"] == job
    assert client.get("/queue").json()["running"] is None


# Nobody waits to hear that the agent lives


@contextlib.contextmanager
def everything_held_up(service, client):
    """The database answers nobody, the queue is busy with it, and every thread that serves waits for it."""
    database = service.jobs._store.database
    with ThreadPoolExecutor(CLIENTS) as pool:
        # The queue takes its condition before the locks of the database, so this order alone is safe.
        with service.jobs._condition, database._read_lock, database._write_lock:
            asking = [pool.submit(client.get, "/models") for _ in range(CLIENTS)]
            yield
            assert not any(each.done() for each in asking)
        assert {each.result().status_code for each in asking} == {200}


def test_health_and_metrics_answer_while_everything_else_waits(service, client):
    with everything_held_up(service, client):
        # Those who ask, and whoever asks for the metrics.
        in_progress = f"gdws_agent_http_requests_in_progress {CLIENTS + 1}.0"
        eventually(lambda: in_progress in client.get("/metrics").text)
        health = Health.model_validate(client.get("/healthz").json())
    assert health.queued_jobs == 0


def test_health_counts_the_jobs_that_wait(bundle, service, client, tmp_path, monkeypatch):
    client.post("/lease", json={"holder": "somebody", "ttl_s": 600})
    ids = [client.post("/benchmark", files={"bundle": bundle}).json()["id"] for _ in range(3)]
    assert client.get("/healthz").json()["queued_jobs"] == 3
    client.delete(f"/benchmark/{ids[0]}")
    assert client.get("/healthz").json()["queued_jobs"] == 2

    def refuse():
        raise StorageFailed("the disk does not serve")

    monkeypatch.setattr(service.jobs._store, "count_queued", refuse)
    client.delete(f"/benchmark/{ids[1]}")
    assert client.get("/healthz").json()["queued_jobs"] == 2
    monkeypatch.undo()
    client.delete("/lease", params={"force": "true"})
    eventually(lambda: client.get("/healthz").json()["queued_jobs"] == 0)


def test_notices_are_looked_for_in_the_background_by_one_at_a_time(tmp_path, monkeypatch):
    now_s = [0.0]
    path = tmp_path / "agent.db"
    notices = Notices(path, max_age_s=5.0, clock=lambda: now_s[0])
    path.write_bytes(b"x")
    set_aside(path)
    assert notices.known() == []

    hangs, begun = threading.Event(), []
    look = notices.look

    def slow():
        begun.append(threading.current_thread())
        hangs.wait(PATIENCE_S)
        return look()

    monkeypatch.setattr(notices, "look", slow)
    now_s[0] = 6.0
    assert [notices.known() for _ in range(10)] == [[]] * 10
    hangs.set()
    eventually(lambda: len(notices.known()) == 1)
    assert len(begun) == 1
    assert notices.look() == notices.known()


def test_public_documents_are_rendered_once(client, monkeypatch):
    first = {path: client.get(path).content for path in ("/openapi.json", "/docs")}
    monkeypatch.setattr(client.app, "openapi", lambda: pytest.fail("made again"))
    assert {path: client.get(path).content for path in first} == first
