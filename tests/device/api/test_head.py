"""``HEAD`` on the real application, and on answers that go on, on a real socket."""

import json
import socket
from urllib.parse import urlsplit

import pytest
from fastapi.testclient import TestClient

from gdws_agent.api.access import Access
from gdws_agent.api.app import create_app
from support.agent_process import running_agent
from support.agents import PATIENCE_S, eventually, resolved, until_final

pytestmark = pytest.mark.timeout(PATIENCE_S)

#: Headers that differ from one answer to the next by their nature.
_OF_THE_MOMENT = {"date"}
FULL, READ = "f" * 32, "r" * 32


@pytest.fixture
def ids(bundle, client, service, tmp_path):
    """Path parameters of a bundle and of a job that has ended."""
    model_id = client.post("/models", content=bundle).json()["id"]
    job_id = service.jobs.submit(resolved(model_id)).id
    until_final(service.jobs, job_id)
    return {"model_id": model_id, "job_id": job_id, "name": "main.js"}


def paths_with(app, method):
    return sorted({route.path for route in app.routes if method in route.methods})


def test_every_route_of_get_answers_head_alike(client, ids):
    asked = 0
    for path in paths_with(client.app, "GET"):
        got, head = (client.request(method, path.format(**ids)) for method in ("GET", "HEAD"))
        assert (head.status_code, head.content) == (got.status_code, b""), path
        if path != "/metrics":  # which counts these very requests
            known = {name: value for name, value in head.headers.items() if name not in _OF_THE_MOMENT}
            assert known.items() <= dict(got.headers).items(), path
            assert set(got.headers) - set(head.headers) <= _OF_THE_MOMENT, path
        asked += 1
    assert asked > 12


def test_the_description_lists_each_route_once(client):
    for path, operations in client.get("/openapi.json").json()["paths"].items():
        assert "head" not in operations, path


def test_an_error_has_the_headers_of_its_document_alone(client):
    head = client.head("/benchmark/nope")
    assert (head.status_code, head.content) == (404, b"")
    assert head.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(("token", "status"), [(None, 401), (READ, 200), (FULL, 200)])
def test_head_needs_the_token_that_get_needs(service, token, status):
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    with TestClient(create_app(service, Access(FULL, READ))) as client:
        assert client.head("/device", headers=headers).status_code == status
        assert client.head("/healthz").status_code == 200


def test_no_body_follows_on_the_wire_and_streams_end(bundle, worker, tmp_path):
    """Two requests on one connection: what follows the first head is the second answer."""
    worker.set_actions({"dense": "hang"})
    with running_agent(tmp_path / "data", worker) as process:
        job_id = process.client.post("/benchmark", files={"bundle": bundle}).raise_for_status().json()["id"]
        address = urlsplit(process.url)
        with socket.create_connection((address.hostname, address.port), PATIENCE_S) as connection:
            for path in ("/healthz", f"/benchmark/{job_id}/events"):
                connection.sendall(f"HEAD {path} HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode())
            connection.sendall(f"GET /healthz HTTP/1.1\r\nHost: {address.netloc}\r\nConnection: close\r\n\r\n".encode())
            answer = b"".join(iter(lambda: connection.recv(65_536), b""))
        first, second, third, body = answer.split(b"\r\n\r\n")
        assert [part[:12] for part in (first, second, third)] == [b"HTTP/1.1 200"] * 3
        assert b"text/event-stream" in second
        assert json.loads(body)["status"] == "ok"
        eventually(lambda: "gdws_agent_event_streams 0.0" in process.client.get("/metrics").text)
