import errno
import json
import os
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from gdws_agent.api import examples
from gdws_agent.api.app import create_app
from gdws_contract.attacks import AttackRequest
from gdws_contract.findings.comparison import Comparison
from gdws_contract.problems import CONTENT_TYPE, Problem
from gdws_contract.profiles import ProfileRequest
from gdws_contract.rest import BenchmarkRequest, DeviceInfo, Health, Job, JobList, ModelInfo, ModelList
from support.agents import (
    PATIENCE_S,
    agent,
    eventually,
    fake_probes,
    missing,
    states,
    until_final,
)
from support.answers import problem_in

pytestmark = pytest.mark.timeout(PATIENCE_S)

#: What a client waits for a job that ends at once.
WAIT = {"wait": PATIENCE_S}


@pytest.fixture
def model_id(client, bundle):
    return client.post("/models", content=bundle).json()["id"]


def files_left(service):
    return sorted(path.name for folder in (service.folder.uploads, service.folder.models) for path in folder.iterdir())


# The device


def test_health_tells_how_busy_the_agent_is(client):
    health = Health.model_validate(client.get("/healthz").json())

    assert (health.status, health.queued_jobs, health.running_job) == ("ok", 0, None)


def test_the_device_tells_what_is_there_and_why_the_rest_is_not(client):
    device = DeviceInfo.model_validate(client.get("/device").json())

    assert [(backend.name, backend.available) for backend in device.backends] == [
        ("onnxruntime", True),
        ("tensorrt", False),
    ]
    assert device.backends[1].reason == "no GPU"
    assert device.power_sensors[0].reason


# Bundles


def test_a_bundle_is_stored_once(client, service, bundle):
    first = client.post("/models", content=bundle)
    again = client.post("/models", content=bundle)

    assert (first.status_code, again.status_code) == (201, 200)
    info = ModelInfo.model_validate(first.json())
    assert again.json() == first.json()
    assert first.headers["location"] == f"/models/{info.id}"
    assert files_left(service) == [f"{info.id}.gdws"]


def test_an_older_client_reads_the_manifest_that_it_wrote(client):
    content = (Path(__file__).parents[2] / "contract" / "files" / "classifier-v1.gdws").read_bytes()
    stored = client.post("/models", content=content).json()
    assert stored["manifest"]["schema_version"] == 1
    assert stored == client.get(f"/models/{stored['id']}").json()
    assert client.get(f"/models/{stored['id']}/manifest").json()["schema_version"] == 2
    assert ModelInfo.model_validate(stored).manifest.classes == 3


@pytest.mark.parametrize(
    "content_type", [None, "application/octet-stream", "application/zip", "application/x-www-form-urlencoded"]
)
def test_a_raw_body_is_taken_under_every_type_that_curl_sends(client, bundle, content_type):
    headers = {} if content_type is None else {"content-type": content_type}
    assert client.post("/models", content=bundle, headers=headers).status_code == 201


def test_a_form_is_the_same_as_a_raw_body(client, service, bundle):
    raw = client.post("/models", content=bundle)
    form = client.post("/models", files={"bundle": ("tiny.gdws", bundle)})

    assert form.status_code == 200
    assert form.json() == raw.json()
    assert service.library.path(raw.json()["id"]).read_bytes() == bundle


def test_bundles_are_listed_shown_and_removed(client, model_id):
    listed = ModelList.model_validate(client.get("/models").json())
    shown = ModelInfo.model_validate(client.get(f"/models/{model_id}").json())

    assert [model.id for model in listed.models] == [model_id]
    assert listed.models[0].manifest is None
    assert shown.manifest is not None
    assert shown.manifest.baseline == "dense"

    removed = client.delete(f"/models/{model_id}")
    assert (removed.status_code, removed.content) == (204, b"")
    problem_in(client.get(f"/models/{model_id}"), 404, "model-not-found")
    problem_in(client.delete(f"/models/{model_id}"), 404, "model-not-found")


@pytest.mark.parametrize("model_id", ["nope", "a" * 64, "%00", "%2e%2e%5cagent.db"])
def test_an_unknown_bundle_is_not_found(client, model_id):
    problem = problem_in(client.get(f"/models/{model_id}"), 404, "model-not-found")
    assert "GET /models" in problem.hint


def test_a_body_past_the_limit_is_refused_while_it_arrives(client, service):
    sent = []

    def endless():
        for _ in range(100):
            sent.append(1)
            yield bytes(2**16)

    problem = problem_in(client.post("/models", content=endless()), 413, "body-too-large")

    assert "1048576 bytes" in problem.detail
    assert "--max-upload-mb" in problem.hint
    assert files_left(service) == []


def test_a_body_announced_past_the_limit_is_refused_before_it_arrives(client, service, monkeypatch):
    monkeypatch.setattr("gdws_agent.api.uploads.open", None, raising=False)
    response = client.post("/models", content=b"x", headers={"content-length": str(2**20 + 1)})
    problem_in(response, 413, "body-too-large")


def test_a_form_past_the_limit_is_refused(client, service):
    problem_in(client.post("/models", files={"bundle": bytes(2**20)}), 413, "body-too-large")
    assert files_left(service) == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "body-malformed"),
        (b"not a bundle", 422, "bundle-unreadable"),
        (b"PK\x05\x06" + bytes(18), 422, "bundle-unreadable"),
    ],
)
def test_what_is_no_bundle_is_refused_and_not_kept(client, service, body, status, code):
    problem_in(client.post("/models", content=body), status, code)
    assert files_left(service) == []


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.99])
def test_a_truncated_bundle_is_refused_and_not_kept(client, service, bundle, kept):
    response = client.post("/models", content=bundle[: int(len(bundle) * kept)])

    problem_in(response, 422, "bundle-unreadable")
    assert files_left(service) == []


def test_a_damaged_bundle_names_the_culprit(client, service, bundle):
    damaged = bytearray(bundle)
    damaged[len(bundle) // 2] ^= 0xFF

    response = client.post("/models", content=bytes(damaged))

    problem = Problem.model_validate_json(response.content)
    assert (response.status_code, problem.code) == (422, "bundle-corrupt")
    assert problem.field
    assert files_left(service) == []


def test_another_media_type_is_refused(client):
    problem = problem_in(client.post("/models", json={}), 415, "media-type-unsupported")
    assert problem.field == "content-type"


FORM = "multipart/form-data; boundary=xx"


def part(name, content, end=b"\r\n--xx--\r\n"):
    return b'--xx\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s%s' % (name, content, end)


@pytest.mark.parametrize(
    ("content_type", "body", "told"),
    [
        ("multipart/form-data", b"", "boundary is missing"),
        (FORM, b"", "ends before its last boundary"),
        (FORM, b"garbage", "not a form"),
        (FORM, part(b"bundle", b"cut off", end=b""), "ends before its last boundary"),
        (FORM, part(b"other", b"x"), "unknown part 'other'"),
        (FORM, part(b"request", b"{}"), "no part 'bundle'"),
        (FORM, part(b"bundle", b"x", end=b"\r\n") + part(b"bundle", b"y"), "'bundle' twice"),
        (FORM, b"--xx\r\nX: " + b"y" * 10_000 + b"\r\n\r\n\r\n--xx--\r\n", "header"),
        (FORM, b"--xx\r\n" + b"".join(b"x%d: y\r\n" % n for n in range(100)) + b"\r\n\r\n--xx--\r\n", "header"),
        (FORM, b"--xx\r\n\r\nno header\r\n--xx--\r\n", "unknown part ''"),
    ],
)
def test_a_malformed_form_says_what_is_wrong(client, service, content_type, body, told):
    response = client.post("/models", content=body, headers={"content-type": content_type})

    assert told in problem_in(response, 400, "body-malformed").detail
    assert files_left(service) == []


@pytest.mark.parametrize("size", [1, 7, 100])
def test_a_form_may_come_in_pieces_of_any_size(client, bundle, size):
    body = part(b"bundle", bundle)
    pieces = (body[start : start + size] for start in range(0, len(body), size))
    assert client.post("/models", content=pieces, headers={"content-type": FORM}).status_code == 201


def test_a_full_disk_while_writing_is_told_and_leaves_nothing(client, service, bundle, monkeypatch):
    class FullFile:
        def __init__(self, path, mode):
            path.touch()

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def write(self, data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("gdws_agent.api.uploads.open", FullFile, raising=False)

    problem_in(client.post("/models", content=bundle), 507, "storage-full")
    assert files_left(service) == []


def test_a_body_announced_past_the_free_space_is_refused_at_once(client, bundle, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(10**9, 10**9, 1000))

    problem = problem_in(client.post("/models", content=bundle), 507, "storage-full")
    assert "1000 are free" in problem.detail


def test_a_bundle_in_use_is_not_removed(client, worker, model_id):
    worker.set_actions({"dense": "hang"})
    job = client.post("/benchmark", json={"model_id": model_id}).json()

    problem = problem_in(client.delete(f"/models/{model_id}"), 409, "model-in-use")

    assert f"DELETE /jobs/{job['id']}" in problem.hint
    client.delete(f"/benchmark/{job['id']}")
    assert client.delete(f"/models/{model_id}").status_code == 204


# Benchmarks


def test_a_benchmark_is_queued_and_can_be_followed(client, service, model_id):
    response = client.post("/benchmark", json={"model_id": model_id, "batch_sizes": [1, 8], "label": "x"})

    assert response.status_code == 202
    job = Job.model_validate(response.json())
    assert response.headers["location"] == f"/benchmark/{job.id}"
    assert (job.request.variants, job.request.backends) == (["dense", "gdws"], ["onnxruntime"])

    until_final(service.jobs, job.id)
    ended = Job.model_validate(client.get(response.headers["location"]).json())
    assert (ended.state, len(ended.cells)) == ("done", 4)
    listed = JobList.model_validate(client.get("/benchmark").json())
    assert listed.jobs == [ended.model_copy(update={"cells": []})]


def test_an_answer_is_held_no_longer_than_asked(client, worker, model_id):
    worker.set_actions({"dense": "hang"})
    response = client.post("/benchmark", params={"wait": 0.05}, json={"model_id": model_id})
    again = client.get(response.headers["location"], params={"wait": 0.05})

    assert response.status_code == 202
    assert (again.status_code, again.json()["state"]) == (200, "running")


def test_many_clients_may_wait_at_once(client, service, worker, model_id):
    """More than the server has threads: waiting takes none."""
    worker.set_actions({"dense": "hang"})
    job_id = client.post("/benchmark", json={"model_id": model_id}).json()["id"]
    worker.wait_until_reached()
    with ThreadPoolExecutor(60) as pool:
        waiting = [pool.submit(client.get, f"/benchmark/{job_id}", params=WAIT) for _ in range(60)]
        eventually(lambda: service.jobs.count_waiters(job_id) == 60)
        client.delete(f"/benchmark/{job_id}")

        assert {future.result().json()["state"] for future in waiting} == {"cancelled"}


def test_one_request_uploads_and_measures(client, service, bundle):
    options = json.dumps({"batch_sizes": [2], "label": "one line"})
    form = {"bundle": ("tiny.gdws", bundle), "request": (None, options)}
    response = client.post("/benchmark", params=WAIT, files=form)

    job = Job.model_validate(response.json())
    assert (response.status_code, job.request.label) == (200, "one line")
    assert states(job) == {"dense@2": "done", "gdws@2": "done"}
    assert [model.id for model in service.library.models()] == [job.request.model_id]


def test_the_request_may_be_a_file_come_first_or_be_left_out(client, bundle):
    as_file = client.post("/benchmark", files=[("request", ("r.json", b'{"batch_sizes": [3]}')), ("bundle", bundle)])
    left_out = client.post("/benchmark", files={"bundle": bundle})

    assert as_file.json()["request"]["batch_sizes"] == [3]
    assert left_out.json()["request"]["batch_sizes"] == [1]


@pytest.mark.parametrize(
    ("fields", "status", "code", "field"),
    [
        ({"batch_sizes": [0]}, 422, "request-invalid", "batch_sizes[0]"),
        ({"batch_size": 1}, 422, "request-invalid", "batch_size"),
        ({"variants": ["dense", "x"]}, 422, "unknown-variant", "variants[1]"),
        ({"backends": ["x"]}, 422, "unknown-backend", "backends[0]"),
        ({"precisions": ["int8"]}, 422, "precision-unsupported", "precisions[0]"),
        ({"backends": ["tensorrt"]}, 409, "backend-unavailable", "backends[0]"),
        ({"model_id": "b" * 64}, None, None, "model_id"),
        ({"model_id": "x"}, None, None, "model_id"),
    ],
)
def test_a_wrong_request_is_refused_in_json_and_in_a_form(client, service, bundle, fields, status, code, field):
    form = client.post("/benchmark", files={"bundle": bundle, "request": (None, json.dumps(fields))})
    assert service.library.models() == []
    model_id = client.post("/models", content=bundle).json()["id"]
    plain = client.post("/benchmark", json={"model_id": model_id, **fields})

    for response in (form, plain):
        problem = Problem.model_validate_json(response.content)
        assert problem.field == field
        if status is not None:
            problem_in(response, status, code)
    assert client.get("/benchmark").json()["jobs"] == []


def test_an_unknown_bundle_cannot_be_measured(client):
    problem_in(client.post("/benchmark", json={"model_id": "b" * 64}), 404, "model-not-found")


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"\xff\xfe", b'{"model_id": Infinity}', b"[" * 100_000])
def test_what_is_no_json_object_is_refused(client, body):
    response = client.post("/benchmark", content=body, headers={"content-type": "application/json"})
    problem_in(response, 400, "body-malformed")


def test_too_long_a_json_body_is_refused(client):
    response = client.post("/benchmark", content=bytes(2**21), headers={"content-type": "application/json"})
    problem_in(response, 413, "body-too-large")


def test_json_without_its_type_gets_the_hint_that_helps(client):
    response = client.post("/benchmark", content=b"{}", headers={"content-type": "application/x-www-form-urlencoded"})
    assert "content-type: application/json" in problem_in(response, 415, "media-type-unsupported").hint


def test_without_any_backend_nothing_is_queued(tmp_path, bundle):
    with agent(tmp_path / "data", probes=fake_probes(missing("onnxruntime"))) as service:
        with TestClient(create_app(service)) as client:
            response = client.post("/benchmark", files={"bundle": bundle})
        assert service.jobs.jobs(10) == []

    assert "onnxruntime: not installed" in problem_in(response, 409, "backend-unavailable").detail


# Profiles


def test_a_profile_is_a_job_of_one_cell(client, service, worker, model_id):
    body = {"model_id": model_id, "variant": "gdws", "batch_size": 4, "options": {"iterations": 9}, "threads": 2}
    response = client.post("/profile", params=WAIT, json=body)

    job = Job.model_validate(response.json())
    assert (response.status_code, response.headers["location"]) == (200, f"/benchmark/{job.id}")
    assert states(job) == {"gdws@4": "done"}
    (order,) = worker.orders()
    assert order["profile"] == {"iterations": 9}
    assert order["protocol"]["threads"] == 2
    assert client.get(f"/benchmark/{job.id}").json()["request"]["profile"] == {"iterations": 9}


def test_a_profile_is_queued_with_the_baseline_and_the_best_backend_by_default(client, service, model_id):
    response = client.post("/profile", json={"model_id": model_id})

    assert response.status_code == 202
    asked = Job.model_validate(response.json()).request
    assert (asked.variants, asked.backends, asked.precisions, asked.batch_sizes) == (
        ["dense"],
        ["onnxruntime"],
        ["fp32"],
        [1],
    )
    assert until_final(service.jobs, response.json()["id"]).state == "done"


@pytest.mark.parametrize(
    ("fields", "status", "code", "field"),
    [
        ({"batch_size": 0}, 422, "request-invalid", "batch_size"),
        ({"batch_sizes": [1]}, 422, "request-invalid", "batch_sizes"),
        ({"options": {"iterations": 0}}, 422, "request-invalid", "options.iterations"),
        ({"variant": "x"}, 422, "unknown-variant", "variant"),
        ({"backend": "x"}, 422, "unknown-backend", "backend"),
        ({"backend": "tensorrt"}, 409, "backend-unavailable", "backend"),
        ({"precision": "int8"}, 422, "precision-unsupported", "precision"),
        ({"model_id": "b" * 64}, 404, "model-not-found", None),
    ],
)
def test_a_wrong_request_for_a_profile_is_refused_in_its_own_words(client, model_id, fields, status, code, field):
    problem = problem_in(client.post("/profile", json={"model_id": model_id, **fields}), status, code)

    assert field is None or problem.field == field
    assert client.get("/benchmark").json()["jobs"] == []


@pytest.mark.parametrize("body", [b"", b"[]", b"{"])
def test_a_profile_takes_json_objects_alone(client, body):
    headers = {"content-type": "application/json"}
    problem_in(client.post("/profile", content=body, headers=headers), 400, "body-malformed")


def test_a_profile_of_a_bundle_that_comes_along(client, bundle):
    request = {"request": '{"variant": "gdws"}'}
    job = Job.model_validate(client.post("/profile", files={"bundle": bundle}, data=request).json())
    assert (job.request.variants, job.request.profile.iterations) == (["gdws"], 50)


# Attacks


@pytest.mark.parametrize("path", ["/attack", "/jobs"])
def test_an_attack_is_a_job_of_a_cell_for_each_engine(client, worker, model_id, path):
    body = {"model_id": model_id, "batch_sizes": [1, 4], "options": {"queries": 9}, "threads": 2}
    kind = {"kind": "attack"} if path == "/jobs" else {}
    job = Job.model_validate(client.post(path, params=WAIT, json={**kind, **body}).json())
    assert states(job) == dict.fromkeys(("dense@1", "gdws@1", "dense@4", "gdws@4"), "done")
    attack = {"norm": "linf", "eps": 0.1, "queries": 9, "images": 16, "seed": 0}
    assert [order["attack"] for order in worker.orders()] == [attack] * 2
    assert [order["attacked"] for order in worker.orders()] == [{"dense": [], "gdws": []}] * 2
    assert job.request.attack.model_dump() == attack


@pytest.mark.parametrize(
    ("fields", "status", "code", "field"),
    [
        ({"batch_sizes": [0]}, 422, "request-invalid", "batch_sizes[0]"),
        ({"precisions": ["fp32", "fp32"]}, 422, "request-invalid", "precisions"),
        ({"options": {"queries": 0}}, 422, "request-invalid", "options.queries"),
        ({"options": {"eps": 0}}, 422, "request-invalid", "options.eps"),
        ({"options": {"norm": "l1"}}, 422, "request-invalid", "options.norm"),
        ({"options": {"norm": "l2"}}, 422, "attack-impossible", "options.eps"),
        ({"variants": ["x"]}, 422, "unknown-variant", "variants[0]"),
        ({"precisions": ["int8"]}, 422, "precision-unsupported", "precisions[0]"),
    ],
)
def test_a_wrong_request_for_an_attack_is_refused_in_its_own_words(client, model_id, fields, status, code, field):
    problem = problem_in(client.post("/attack", json={"model_id": model_id, **fields}), status, code)
    assert problem.field == field
    assert client.get("/jobs").json()["jobs"] == []


def test_a_job_takes_a_profile_or_attacks(client, model_id):
    body = {"model_id": model_id, "profile": {"iterations": 1}, "attack": {"queries": 1}}
    assert problem_in(client.post("/benchmark", json=body), 422, "request-invalid").field == "attack"


def test_clients_that_do_not_know_attacks_see_none_in_other_jobs(client, model_id):
    asked = client.post("/benchmark", json={"model_id": model_id}).json()["request"]
    assert "attack" not in asked


@pytest.mark.parametrize("wait", ["-1", "3601", "x", "nan", "inf"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_wait_out_of_bounds_is_refused(client, method, wait):
    path = "/benchmark" if method == "POST" else "/benchmark/x"
    problem = problem_in(client.request(method, path, params={"wait": wait}), 422, "request-invalid")
    assert problem.field == "wait"


def test_jobs_are_listed_up_to_the_limit(client, model_id):
    ids = [client.post("/benchmark", json={"model_id": model_id}).json()["id"] for _ in range(3)]

    listed = client.get("/benchmark", params={"limit": 2}).json()["jobs"]

    assert [job["id"] for job in listed] == ids[:0:-1]
    assert problem_in(client.get("/benchmark", params={"limit": 0}), 422, "request-invalid").field == "limit"


def test_a_running_job_is_cancelled_when_the_answer_comes(client, worker, model_id):
    worker.set_actions({"gdws": "hang-deaf"})
    job_id = client.post("/benchmark", json={"model_id": model_id}).json()["id"]
    worker.wait_until_reached()

    first, again = (client.delete(f"/benchmark/{job_id}") for _ in range(2))

    assert (first.status_code, first.json()["state"]) == (200, "cancelled")
    assert again.json() == first.json()


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_unknown_job_is_not_found(client, method):
    problem_in(client.request(method, "/benchmark/nope"), 404, "job-not-found")


# Errors of every kind


@pytest.mark.parametrize("path", ["/nope", "/dashboard/nope.js", "/models/", "/benchmark/a/b", "/healthz/"])
def test_an_unknown_route_is_a_problem(client, path):
    assert "/openapi.json" in problem_in(client.get(path), 404, "not-found").hint


def test_a_wrong_method_is_a_problem_that_names_the_right_ones(client):
    for path in {route.path for route in client.app.routes}:
        known = {method for route in client.app.routes if route.path == path for method in route.methods}
        known |= {"HEAD"} if "GET" in known else set()
        for method in {"GET", "PUT", "PATCH", "DELETE", "OPTIONS", "POST"} - known:
            response = client.request(method, path)
            problem_in(response, 405, "method-not-allowed")
            assert set(response.headers["allow"].split(", ")) == known, (method, path)


def test_an_unforeseen_error_is_a_problem_with_an_id_that_is_in_the_log(client, service, monkeypatch, caplog):
    def fail(self):
        raise RuntimeError("secret detail")

    monkeypatch.setattr(type(service), "health", fail)
    response = client.get("/healthz")

    problem = problem_in(response, 500, "internal-error")
    assert "secret" not in response.text
    error_id = problem.instance.rsplit(":", 1)[1]
    assert error_id in problem.hint
    (record,) = [record for record in caplog.records if error_id in record.getMessage()]
    assert record.exc_info is not None


# The OpenAPI document


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    with agent(tmp_path_factory.mktemp("data")) as service:
        return create_app(service).openapi()


def test_every_reference_in_the_document_leads_somewhere(document):
    for reference in references(document):
        place = document
        for step in reference.lstrip("#/").split("/"):
            place = place[step]


def references(value):
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


#: What is not JSON, by route.
OTHER_TYPES = {
    "/metrics": "text/plain",
    **{f"{path}/{{job_id}}/events": "text/event-stream" for path in ("/jobs", "/benchmark")},
}


def test_every_route_is_described(document):
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], (method, path)
            assert len(operation["description"]) > 30, (method, path)
            for status, answer in operation["responses"].items():
                expected = OTHER_TYPES.get(path, "application/json") if status.startswith("2") else CONTENT_TYPE
                assert set(answer.get("content", {expected: 1})) == {expected}, (method, path, status)


def test_no_answer_is_documented_that_the_framework_would_give_in_its_own_form(document):
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_the_examples_are_what_the_models_take():
    for value in examples.REQUESTS.values():
        BenchmarkRequest.model_validate(value, strict=True)
    for value in examples.PROFILES.values():
        ProfileRequest.model_validate(value, strict=True)
    for value in examples.ATTACKS.values():
        AttackRequest.model_validate(value, strict=True)
    Job.model_validate(examples.JOB, strict=True)
    Comparison.model_validate_json(json.dumps(examples.COMPARISON), strict=True)
    Problem.model_validate(examples.PROBLEM, strict=True)


def test_the_examples_name_only_fields_that_exist(document):
    schemas = document["components"]["schemas"]
    assert set(examples.JOB) <= set(schemas["JobResult"]["properties"])
    assert set(examples.JOB["progress"]) <= set(schemas["Progress"]["properties"])
    assert set(examples.PROBLEM) <= set(schemas["Problem"]["properties"])
    assert set(examples.COMPARISON) == set(schemas["Comparison"]["properties"])
    assert set(examples.COMPARISON["a"]) == set(schemas["Side"]["properties"])
    (cell,) = examples.COMPARISON["cells"]
    assert set(cell) == set(schemas["CellComparison"]["properties"])
    assert set(examples.VERDICT) == set(schemas["Verdict"]["properties"])
