"""``GET /compare``: two stored jobs side by side."""

import contextlib
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient

from gdws_agent.api.access import Access
from gdws_agent.api.app import create_app
from gdws_agent.storage.store import Store
from gdws_contract.findings.comparison import Comparison
from gdws_contract.problems import Problem
from support.agents import PATIENCE_S, agent, resolved
from support.benchmark_results import DENSE, KEPT, MODEL_ID, result
from support.stored_results import store_results

pytestmark = pytest.mark.timeout(PATIENCE_S)

FULL, READ = "f" * 32, "r" * 32


@pytest.fixture
def stored(tmp_path):
    """The ids of two jobs, of which the second found a faster network."""
    faster = replace(KEPT, median_ms=1.0)
    return store_results(tmp_path / "data", [result([DENSE, KEPT], label="before"), result([DENSE, faster])])


@pytest.fixture
def client(tmp_path, stored):
    """One with the token that only reads."""
    with agent(tmp_path / "data") as service, TestClient(create_app(service, Access(FULL, READ))) as made:
        made.headers["authorization"] = f"Bearer {READ}"
        yield made


def compared(client, a, b):
    answer = client.get("/compare", params={"a": a, "b": b})
    assert answer.status_code == 200, answer.text
    return Comparison.model_validate_json(answer.content)


def test_two_jobs_are_compared_cell_by_cell(client, stored):
    found = compared(client, *stored)
    assert [(cell.key.variant, cell.verdict) for cell in found.cells] == [
        ("dense", "not distinguishable"),
        ("mean-rank-4", "faster"),
    ]
    assert (found.a.label, found.a.bundle, found.a.bundle_id) == ("before", "mnist-preact-resnet", MODEL_ID)
    assert ([found.a.job_id, found.b.job_id], found.a.partial) == (stored, False)
    back = compared(client, *reversed(stored))
    assert [cell.verdict for cell in back.cells] == ["not distinguishable", "slower"]


def test_a_job_with_itself_shows_no_difference(client, stored):
    found = compared(client, stored[0], stored[0])
    assert {cell.verdict for cell in found.cells} == {"not distinguishable"}
    assert found.differences == ()


def test_a_bundle_that_was_removed_has_no_name(tmp_path):
    ids = store_results(tmp_path / "data", [result([DENSE]), result([DENSE])], manifests=False)
    with agent(tmp_path / "data") as service, TestClient(create_app(service)) as client:
        found = compared(client, *ids)
    assert (found.a.bundle, found.b.bundle, len(found.cells)) == (None, None, 1)


def test_a_job_that_has_not_ended_is_partial(tmp_path, stored):
    with agent(tmp_path / "data") as service:
        with contextlib.closing(Store(service.folder.database)) as store:
            waiting = store.add_job(resolved(MODEL_ID)).id
        found = service.compare(stored[0], waiting)
    assert (found.a.partial, found.b.partial) == (False, True)
    assert found.cells == ()
    assert [key.variant for key in found.only_a] == ["dense", "mean-rank-4"]


@pytest.mark.parametrize("which", ["a", "b"])
def test_an_unknown_job_is_not_found(client, stored, which):
    answer = client.get("/compare", params={"a": stored[0], "b": stored[1], which: "nope"})
    problem = Problem.model_validate_json(answer.content)
    assert (answer.status_code, problem.code) == (404, "job-not-found")
    assert "'nope'" in problem.detail


@pytest.mark.parametrize("wrong", ["../x", "", None])
def test_what_cannot_be_an_id_is_refused(client, stored, wrong):
    params = {"a": stored[0]} if wrong is None else {"a": stored[0], "b": wrong}
    answer = client.get("/compare", params=params)
    problem = Problem.model_validate_json(answer.content)
    assert (answer.status_code, problem.code, problem.field) == (422, "request-invalid", "b")


def test_without_a_token_nothing_is_told(client, stored):
    answer = client.get("/compare", params={"a": stored[0], "b": stored[1]}, headers={"authorization": ""})
    assert answer.status_code == 401
