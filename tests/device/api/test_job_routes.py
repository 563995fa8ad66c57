"""Jobs below ``/jobs`` and below the paths of before: one implementation, the same answers."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from gdws_agent.api import examples
from gdws_agent.api.app import create_app
from gdws_agent.api.submission import KINDS
from gdws_contract.findings.result import Findings, JobResult, findings_of
from gdws_contract.problems import Problem
from gdws_contract.rest import Job
from support.agents import PATIENCE_S, FakeWorker, agent
from support.benchmark_results import DENSE, KEPT, profiled_cell, result
from support.bundles import tiny_bundle
from support.stored_results import store_results

pytestmark = pytest.mark.timeout(PATIENCE_S)

MADE = result([DENSE, KEPT], batch_sizes=(1, 8))


@pytest.fixture
def stored(tmp_path):
    """The ids of a benchmark and of a profile that have ended."""
    return store_results(tmp_path / "data", [MADE, result([DENSE], cells=[profiled_cell(DENSE)])])


@pytest.fixture
def client(tmp_path):
    with agent(tmp_path / "data", FakeWorker(tmp_path / "worker")) as service, TestClient(create_app(service)) as made:
        yield made


@pytest.mark.parametrize(
    "suffix", ["", "?limit=1", "/{id}", "/{id}?rounds=false", "/{id}?wait=1", "/{id}?verdicts=true", "/{id}/findings"]
)
def test_both_paths_answer_the_same(stored, client, suffix):
    old, new = (client.get(path + suffix.format(id=stored[0])) for path in ("/benchmark", "/jobs"))
    assert (old.status_code, old.content) == (200, new.content)


def test_both_paths_stream_the_same_events_and_cancel_alike(stored, client):
    old, new = (client.get(f"{path}/{stored[0]}/events").text for path in ("/benchmark", "/jobs"))
    assert old == new
    old, new = (client.delete(f"{path}/{stored[0]}").json() for path in ("/benchmark", "/jobs"))
    assert old == new


def test_a_job_has_the_verdicts_of_its_findings_where_they_are_asked_for(stored, client):
    expected = findings_of(MADE.job, MADE.manifest, is_simulated=False)
    found = Findings.model_validate_json(client.get(f"/jobs/{stored[0]}/findings").content)
    assert found == expected
    for options in ({}, {"rounds": "false"}, {"wait": "1"}):
        answer = client.get(f"/jobs/{stored[0]}", params={**options, "verdicts": "true"})
        assert JobResult.model_validate_json(answer.content).verdicts == expected.verdicts
    assert "verdicts" not in client.get(f"/jobs/{stored[0]}").json()


def test_a_profile_has_no_verdict(stored, client):
    assert client.get(f"/jobs/{stored[1]}?verdicts=true").json()["verdicts"] == []


def test_a_bundle_that_was_removed_takes_the_accuracies_along(tmp_path):
    (job_id,) = store_results(tmp_path / "data", [MADE], manifests=False)
    with agent(tmp_path / "data") as service, TestClient(create_app(service)) as client:
        found = Findings.model_validate_json(client.get(f"/jobs/{job_id}/findings").content)
    assert (found.networks, {each.accuracy for each in found.verdicts}) == ((), {"not shown"})


@pytest.mark.parametrize("kind", ["benchmark", "profile"])
@pytest.mark.parametrize("form", [True, False])
def test_the_body_says_what_kind_of_job_it_is(tmp_path, client, kind, form):
    bundle = tiny_bundle(tmp_path / "tiny.gdws", net="linear").read_bytes()
    if form:
        answer = client.post("/jobs", files={"bundle": bundle}, data={"request": f'{{"kind": "{kind}"}}'})
    else:
        model_id = client.post("/models", content=bundle).json()["id"]
        answer = client.post("/jobs", json={"kind": kind, "model_id": model_id})
    assert answer.status_code == 202, answer.text
    job = Job.model_validate_json(answer.content)
    assert (answer.headers["location"], job.request.profile is not None) == (f"/jobs/{job.id}", kind == "profile")


def test_a_job_without_a_kind_is_refused_with_those_there_are(client):
    problem = Problem.model_validate_json(client.post("/jobs", json={"model_id": "a" * 64}).content)
    assert (problem.status, problem.field, problem.hint) == (422, "kind", "choose one of benchmark, profile, attack")


def test_one_key_is_one_job_whichever_path_it_came_by(tmp_path, client):
    bundle = tiny_bundle(tmp_path / "tiny.gdws", net="linear").read_bytes()
    model_id, headers = client.post("/models", content=bundle).json()["id"], {"Idempotency-Key": "run-17"}
    first = client.post("/benchmark", json={"model_id": model_id}, headers=headers).json()
    again = client.post("/jobs", json={"kind": "benchmark", "model_id": model_id}, headers=headers).json()
    assert first["id"] == again["id"]


def test_the_examples_are_of_kinds_there_are():
    for value in examples.JOBS.values():
        fields = dict(value)
        KINDS[fields.pop("kind")].request.model_validate(fields, strict=True)
