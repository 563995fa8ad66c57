import pytest

from gdws_agent.api import examples
from gdws_contract.queueing import Lease, LeaseRequest, LeaseState
from gdws_contract.rest import API_REVISION, Job, JobList, ModelList, Queue
from support.agents import PATIENCE_S
from support.answers import problem_in
from support.bundles import tiny_bundle

pytestmark = pytest.mark.timeout(PATIENCE_S)

HOLDER = {"holder": "ci, branch main", "ttl_s": 60.0}


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles")
    return [tiny_bundle(folder / f"{n}.gdws", net="linear", variants=["dense", f"v{n}"]).read_bytes() for n in range(3)]


@pytest.fixture
def held(client, bundles):
    """A device that somebody holds, so that nothing is begun, and a bundle on it."""
    lease = client.post("/lease", json=HOLDER).raise_for_status().json()
    return {"model_id": client.post("/models", content=bundles[0]).json()["id"]}, {"Lease-Id": lease["id"]}


# Leases


def test_a_lease_is_taken_shown_renewed_and_released(client):
    assert client.get("/lease").json() == {"lease": None}

    taken = client.post("/lease", json=HOLDER)
    lease = Lease.model_validate(taken.json())
    shown = client.get("/lease")
    renewed = client.put("/lease", headers={"Lease-Id": lease.id})
    released = client.delete("/lease", headers={"Lease-Id": lease.id})

    assert (taken.status_code, lease.holder, lease.expires_in_s) == (201, "ci, branch main", 60)
    assert LeaseState.model_validate(shown.json()).lease.holder == "ci, branch main"
    assert lease.id not in shown.text
    assert (renewed.status_code, renewed.json()["id"]) == (200, lease.id)
    assert (released.status_code, released.content) == (204, b"")
    assert client.get("/lease").json() == {"lease": None}


def test_a_device_that_is_held_is_refused_with_the_time_to_come_again(client):
    client.post("/lease", json=HOLDER)
    response = client.post("/lease", json=HOLDER)

    problem = problem_in(response, 409, "lease-held")
    assert "ci, branch main" in problem.detail
    assert 0 < int(response.headers["retry-after"]) <= 60


def test_a_lease_can_be_taken_away(client):
    client.post("/lease", json=HOLDER)
    assert client.delete("/lease", params={"force": "true"}).status_code == 204
    assert client.get("/lease").json() == {"lease": None}


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_without_its_id_or_with_another_nothing_is_done(client, method):
    client.post("/lease", json=HOLDER)
    assert problem_in(client.request(method, "/lease"), 422, "request-invalid").field == "Lease-Id"
    problem_in(client.request(method, "/lease", headers={"Lease-Id": "nope"}), 409, "lease-not-held")
    problem_in(client.request(method, "/lease", headers={"Lease-Id": "no good"}), 422, "request-invalid")
    assert client.get("/lease").json()["lease"] is not None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "holder"),
        ({"holder": ""}, "holder"),
        ({"holder": "a\x1b[2Jb"}, "holder"),
        ({"holder": "x" * 101}, "holder"),
        ({"holder": "ada", "ttl_s": 0}, "ttl_s"),
        ({"holder": "ada", "ttl_s": 86_401}, "ttl_s"),
        ({"holder": "ada", "for": "ever"}, "for"),
    ],
)
def test_a_wrong_request_for_a_lease_names_the_field(client, body, field):
    assert problem_in(client.post("/lease", json=body), 422, "request-invalid").field == field


def test_what_is_no_json_is_refused(client):
    json_type = {"content-type": "application/json"}
    problem_in(client.post("/lease", content=b"{", headers=json_type), 400, "body-malformed")
    problem_in(client.post("/lease", data={"holder": "ada"}), 415, "media-type-unsupported")


def test_the_examples_are_what_the_model_takes():
    for value in examples.LEASES.values():
        LeaseRequest.model_validate(value, strict=True)


def test_a_job_is_sent_under_a_lease(client, held):
    request, lease = held
    own = client.post("/benchmark", json=request, headers=lease).json()
    lost = client.post("/profile", json=request, headers={"Lease-Id": "another"})

    assert own["lease_holder"] == "ci, branch main"
    problem_in(lost, 409, "lease-not-held")


# The queue


def test_the_queue_tells_who_holds_the_device_and_what_comes_next(client, held):
    request, _ = held
    jobs = [client.post("/benchmark", json={**request, "priority": n}).json()["id"] for n in range(3)]

    queue = Queue.model_validate(client.get("/queue", params={"limit": 2}).json())

    assert [job.id for job in queue.queued] == jobs[:0:-1]
    assert [job.queue_position for job in queue.queued] == [0, 1]
    assert (queue.queued_total, queue.queued_limit, queue.running) == (3, 4, None)
    assert queue.lease.holder == "ci, branch main"
    assert all(job.waits_for_lease for job in queue.queued)


def test_past_the_limit_jobs_are_refused(client, held):
    request, _ = held
    answers = [client.post("/benchmark", json=request) for _ in range(5)]

    assert [answer.status_code for answer in answers[:4]] == [202] * 4
    problem_in(answers[4], 429, "queue-full")
    assert int(answers[4].headers["retry-after"]) >= 1


# Requests that are sent again


@pytest.mark.parametrize("path", ["/benchmark", "/profile"])
def test_a_request_with_the_same_key_is_the_same_job(client, held, path):
    request, _ = held
    key = {"Idempotency-Key": "7b2f-1"}
    first, again = (client.post(path, json=request, headers=key) for _ in range(2))
    other = client.post(path, json={**request, "label": "other"}, headers=key)

    assert first.json()["id"] == again.json()["id"]
    assert problem_in(other, 422, "idempotency-key-reused").field == "Idempotency-Key"
    assert len(client.get("/benchmark").json()["jobs"]) == 1


def test_a_form_with_the_same_key_is_the_same_job(client, bundles, held):
    key = {"Idempotency-Key": "7b2f-1"}
    first, again = (client.post("/benchmark", files={"bundle": bundles[1]}, headers=key) for _ in range(2))

    assert first.json()["id"] == again.json()["id"]
    problem_in(client.post("/benchmark", files={"bundle": bundles[2]}, headers=key), 422, "idempotency-key-reused")


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_key_out_of_bounds_is_refused(client, held, key):
    response = client.post("/benchmark", json=held[0], headers={"Idempotency-Key": key})
    assert problem_in(response, 422, "request-invalid").field == "Idempotency-Key"


# Limits


def test_more_time_than_may_be_is_refused_with_the_field(client, held):
    body = {**held[0], "limits": {"time_s": 1e6}}
    assert problem_in(client.post("/benchmark", json=body), 422, "limit-too-high").field == "limits.time_s"


# Pages


def pages(client, path, kind, items, **params):
    """Return the items of all pages."""
    found, cursor = [], None
    while True:
        page = kind.model_validate(
            client.get(path, params={**params, **({} if cursor is None else {"cursor": cursor})}).json()
        )
        found += [item.id for item in getattr(page, items)]
        cursor = page.next_cursor
        if cursor is None:
            return found


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 1000])
def test_pages_hold_each_job_and_each_bundle_once(client, bundles, held, limit):
    models = [client.post("/models", content=bundle).json()["id"] for bundle in bundles]
    jobs = [client.post("/benchmark", json={"model_id": models[0]}).json()["id"] for _ in range(3)]

    assert pages(client, "/benchmark", JobList, "jobs", limit=limit) == jobs[::-1]
    assert pages(client, "/models", ModelList, "models", limit=limit) == models[::-1]


def test_jobs_are_listed_by_state(client, held):
    request, _ = held
    waiting, cancelled = (client.post("/benchmark", json=request).json()["id"] for _ in range(2))
    client.delete(f"/benchmark/{cancelled}")

    assert pages(client, "/benchmark", JobList, "jobs", state="queued") == [waiting]
    assert pages(client, "/benchmark", JobList, "jobs", state="cancelled") == [cancelled]
    assert pages(client, "/benchmark", JobList, "jobs", state="done") == []
    problem_in(client.get("/benchmark", params={"state": "lost"}), 422, "request-invalid")


@pytest.mark.parametrize("cursor", ["-1", "x", "1" * 19, ""])
def test_a_cursor_that_is_none_is_refused(client, cursor):
    for path in ("/benchmark", "/models"):
        assert problem_in(client.get(path, params={"cursor": cursor}), 422, "request-invalid").field == "cursor"


# Versions


def test_a_client_of_the_first_revision_can_read_a_job(client, held):
    job = client.post("/benchmark", json=held[0]).json()

    assert not {"priority", "limits"} & set(job["request"])
    assert Job.model_validate(job).request.priority == 0
    assert client.get("/healthz").json()["api_revision"] == client.get("/device").json()["api_revision"] == API_REVISION
