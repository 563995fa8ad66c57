"""The gate and the layers around it, on the real application."""

import pytest
from fastapi.testclient import TestClient

from gdws_agent.api.access import Access
from gdws_agent.api.app import create_app
from gdws_agent.api.guard import OPEN_PATHS, is_unownable
from gdws_agent.api.headers import HEADERS
from gdws_agent.api.sign_in_attempts import MAX_ATTEMPTS
from gdws_contract.problems import CONTENT_TYPE, Problem
from support.agents import agent

FULL, READ = "f" * 32, "r" * 32
ALL = {"authorization": f"Bearer {FULL}"}
READING = {"authorization": f"Bearer {READ}"}


@pytest.fixture
def service(tmp_path):
    with agent(tmp_path / "data", max_upload_mb=1) as made:
        yield made


@pytest.fixture
def closed(service):
    with TestClient(create_app(service, Access(FULL, READ))) as client:
        yield client


@pytest.fixture
def opened(service):
    with TestClient(create_app(service)) as client:
        yield client


def code_of(response):
    assert response.headers["content-type"] == CONTENT_TYPE, response.text
    problem = Problem.model_validate_json(response.content)
    assert problem.status == response.status_code
    return problem.code


def routes(client):
    """Every route of the document with every method, ids and what else it needs filled in."""
    for path, methods in client.get("/openapi.json").json()["paths"].items():
        for method, operation in methods.items():
            known = path.replace("{job_id}", "x").replace("{model_id}", "a" * 64)
            asked = [each for each in operation.get("parameters", []) if each["in"] == "query" and each["required"]]
            yield method.upper(), known + ("?" if asked else "") + "&".join(f"{each['name']}=x" for each in asked)


# Tokens


def test_no_route_but_the_open_ones_answers_without_a_token(closed):
    asked = 0
    for method, path in routes(closed):
        if path not in OPEN_PATHS:
            response = closed.request(method, path)
            assert (response.status_code, code_of(response)) == (401, "token-needed"), (method, path)
            assert response.headers["www-authenticate"] == 'Bearer realm="gdws-agent"'
            asked += 1
    assert asked > 10


def test_unknown_paths_and_methods_tell_nothing_without_a_token(closed):
    assert closed.get("/nope").status_code == closed.put("/models").status_code == 401


def test_without_a_token_health_tells_only_that_the_agent_lives(closed):
    assert closed.get("/healthz").json() == {"status": "ok"}
    assert closed.get("/healthz", headers={"authorization": "Bearer wrong"}).json() == {"status": "ok"}
    assert closed.get("/healthz", headers=READING).json()["queued_jobs"] == 0


def test_the_read_only_token_reads_every_route_and_changes_nothing(closed):
    for method, path in routes(closed):
        response = closed.request(method, path, headers=READING)
        if method == "GET":
            assert response.status_code in (200, 404), (method, path)
        else:
            assert (response.status_code, code_of(response)) == (403, "read-only-token"), (method, path)
            assert "insufficient_scope" in response.headers["www-authenticate"]


def test_the_full_token_passes_everywhere(closed):
    for method, path in routes(closed):
        assert closed.request(method, path, headers=ALL).status_code not in (401, 403), (method, path)


def test_wrong_tokens_are_bounded_and_never_lock_out_the_right_one(closed, caplog):
    wrong = {"authorization": "Bearer almost-the-token"}
    statuses = [closed.get("/device", headers=wrong).status_code for _ in range(MAX_ATTEMPTS + 3)]

    assert statuses == [401] * MAX_ATTEMPTS + [429] * 3
    late = closed.get("/device", headers=wrong)
    assert (code_of(late), int(late.headers["retry-after"]) >= 1) == ("too-many-attempts", True)
    assert closed.get("/device", headers=ALL).status_code == 200
    assert "almost-the-token" not in caplog.text


def test_no_token_is_logged(closed, caplog):
    caplog.set_level("WARNING", logger="httpx")  # this client's own
    caplog.set_level("DEBUG", logger="gdws_agent")
    closed.get("/device", headers=ALL)
    closed.get("/device", params={"token": FULL}, headers=READING)
    closed.delete("/benchmark/x", headers=READING)

    assert "/device" in caplog.text
    assert FULL not in caplog.text
    assert READ not in caplog.text


# Browsers that were misled


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://testserver.evil.example", "https://[", ""])
@pytest.mark.parametrize("headers", [{}, ALL])
def test_a_page_of_another_site_changes_nothing(service, origin, headers):
    access = Access(FULL, READ) if headers else Access()
    with TestClient(create_app(service, access)) as client:
        response = client.post("/benchmark", json={}, headers={**headers, "origin": origin})
    assert (response.status_code, code_of(response)) == (403, "origin-foreign")


def test_the_agents_own_page_may(opened):
    response = opened.post("/benchmark", json={}, headers={"origin": "http://testserver"})
    assert code_of(response) == "request-invalid"


@pytest.mark.parametrize(
    ("name", "unownable"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("192.168.1.7", True),
        ("localhost", True),
        ("jetson", True),
        ("jetson.local", True),
        ("jetson.lan", True),
        ("evil.example", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.nip.io", False),
        ("", False),
    ],
)
def test_names_that_a_stranger_could_own(name, unownable):
    assert is_unownable(name) == unownable


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.nip.io", "evil.example.", "[", ""])
def test_an_agent_without_tokens_does_not_answer_under_a_strangers_name(opened, host):
    for path in ("/device", "/healthz"):
        response = opened.get(path, headers={"host": host})
        assert (response.status_code, code_of(response)) == (421, "host-foreign")


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1:8000", "[::1]:8000", "jetson.local", "JETSON"])
def test_it_answers_under_its_own(opened, host):
    assert opened.get("/device", headers={"host": host}).status_code == 200


def test_with_tokens_any_name_will_do(closed):
    assert closed.get("/device", headers={**ALL, "host": "bench.example.com"}).status_code == 200


def test_no_answer_lets_pages_of_other_sites_read_it(opened):
    for method in ("GET", "OPTIONS"):
        headers = {"origin": "http://evil.example", "access-control-request-method": "POST"}
        response = opened.request(method, "/device", headers=headers)
        assert not [name for name in response.headers if name.startswith("access-control")]


# Headers


def test_every_answer_has_the_security_headers(service, monkeypatch):
    def fail(self):
        raise RuntimeError

    with TestClient(create_app(service, Access(FULL, READ)), raise_server_exceptions=False) as client:
        answers = [client.get("/device"), client.get("/device", headers=ALL), client.get("/docs")]
        answers.append(client.get("/nope", headers=ALL))
        monkeypatch.setattr(type(service), "device", fail)
        answers.append(client.get("/device", headers=ALL))
    assert [answer.status_code for answer in answers] == [401, 200, 200, 404, 500]
    for answer in answers:
        for name, value in HEADERS:
            assert answer.headers[name.decode()] == value.decode()


def test_the_policy_lets_pages_load_only_from_the_agent():
    policy = dict(HEADERS)[b"content-security-policy"].decode()
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_a_route_may_have_its_own_cache_control(opened):
    assert "max-age" in opened.get("/docs.css").headers["cache-control"]
