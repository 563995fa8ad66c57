"""The client against a made-up agent, and against a real socket where the transport matters."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from gdws.device.client import DeviceClient, JobRequest
from gdws.errors import DeviceError, DeviceProtocolError, DeviceRefused, DeviceUnreachable
from gdws_contract.attacks import AttackRequest
from gdws_contract.problems import CONTENT_TYPE, Problem
from gdws_contract.profiles import ProfileRequest
from gdws_contract.rest import BenchmarkRequest, Health
from support.benchmark_results import DENSE, KEPT, MODEL_ID, cell, device, result

JOB = result([DENSE, KEPT]).job
MODEL = {
    "id": MODEL_ID,
    "name": "net",
    "size_bytes": 5,
    "created_at": "2026-01-02T03:04:05Z",
    "baseline": "dense",
    "variants": ["dense"],
}


def client_of(handler: Callable[[httpx.Request], httpx.Response]) -> DeviceClient:
    return DeviceClient("http://device:8000", transport=httpx.MockTransport(handler))


def answering(content: object, status: int = 200) -> DeviceClient:
    return client_of(lambda request: httpx.Response(status, json=content))


def test_check_accepts_this_release() -> None:
    health = Health(agent_version="0.1.0", api_version=1, queued_jobs=0)
    assert answering(health.model_dump()).check() == health


def test_check_refuses_another_interface() -> None:
    health = Health(agent_version="9.0.0", api_version=2, queued_jobs=0)
    with pytest.raises(DeviceProtocolError, match="version 2 of the interface") as caught:
        answering(health.model_dump()).check()
    assert "same release" in (caught.value.hint or "")


def test_a_token_is_sent_and_not_shown() -> None:
    seen: list[str | None] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("authorization"))
        return httpx.Response(200, json=device().model_dump())

    for token in ("secret-token", " secret-token\n", None, ""):
        client = DeviceClient("http://device:8000", token=token, transport=httpx.MockTransport(handler))
        client.device()
        assert "secret-token" not in f"{client!r} {vars(client)}"
    assert seen == ["Bearer secret-token"] * 2 + [None] * 2


@pytest.mark.parametrize("token", ["two words", "line\nbreak", "schlüssel"])
def test_what_no_header_can_carry_is_no_token(token: str) -> None:
    with pytest.raises(DeviceError) as caught:
        DeviceClient("http://device:8000", token=token)
    assert token not in caught.value.message
    assert "GDWS_TOKEN" in (caught.value.hint or "")


def test_an_agent_that_needs_a_token_is_told_from_something_else() -> None:
    problem = Problem(type="urn:gdws:problem:token-needed", title="Token needed", status=401, hint="set GDWS_TOKEN")

    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/healthz":
            return httpx.Response(200, json={"status": "ok"})
        return httpx.Response(401, json=problem.model_dump())

    with pytest.raises(DeviceRefused) as caught:
        client_of(handler).check()
    assert (caught.value.status, caught.value.hint) == (401, "set GDWS_TOKEN")


def test_answers_become_the_contracts_models() -> None:
    info = device()
    assert answering(info.model_dump()).device() == info
    assert answering({"models": [MODEL]}).models()[0].id == MODEL_ID
    assert answering({"jobs": [JOB.model_dump(mode="json")]}).jobs() == [JOB]


def test_fields_of_a_later_release_are_passed_over() -> None:
    answer = {**Health(agent_version="0.2.0", api_version=1, queued_jobs=0).model_dump(), "mood": "good"}
    assert answering(answer).check().agent_version == "0.2.0"


@pytest.mark.parametrize(
    ("status", "content", "headers"),
    [
        (200, b"<html>router login</html>", {}),
        (200, b'{"hello": "world"}', {}),
        (200, b"[1, 2, 3]", {}),
        (200, b"\xff\xfe\x00", {}),
        (200, b"[" * 100_000, {}),
        (200, b"", {}),
        (302, b"", {"location": "http://elsewhere/"}),
        (404, b"not found", {}),
        (500, b'{"oops": true}', {}),
        (200, b"no gzip", {"content-encoding": "gzip"}),
    ],
)
def test_what_is_no_agent_is_a_protocol_error(status: int, content: bytes, headers: dict[str, str]) -> None:
    client = client_of(lambda request: httpx.Response(status, stream=httpx.ByteStream(content), headers=headers))
    with pytest.raises(DeviceProtocolError, match="not a gdws agent") as caught:
        client.check()
    assert caught.value.url == "http://device:8000"
    assert caught.value.hint


def test_control_characters_of_an_answer_do_not_reach_the_terminal() -> None:
    with pytest.raises(DeviceProtocolError) as caught:
        client_of(lambda request: httpx.Response(200, text="\x1b[2Jhello")).check()
    assert "\x1b" not in str(caught.value)


def test_a_problem_document_is_a_refusal_with_field_and_hint() -> None:
    problem = Problem(
        type="urn:gdws:problem:unknown-variant",
        title="No such variant",
        status=422,
        detail="the bundle has no variant 'mean-rank-9'",
        field="variants[1]",
        hint="it has: dense",
    )
    handler = client_of(
        lambda request: httpx.Response(422, content=problem.model_dump_json(), headers={"content-type": CONTENT_TYPE})
    )
    with pytest.raises(DeviceRefused, match=r"variants\[1\]: the bundle has no variant") as caught:
        handler.submit(BenchmarkRequest(model_id=MODEL_ID))
    assert (caught.value.status, caught.value.hint, caught.value.exit_code) == (422, "it has: dense", 3)


@pytest.mark.parametrize("status", [404, 409, 410, 422, 500])
def test_a_model_that_is_not_there_or_not_whole_is_none(status: int) -> None:
    problem = Problem(type="urn:gdws:problem:model-damaged", title="Not whole", status=status)
    assert answering(problem.model_dump(), status=status).model(MODEL_ID) is None


@pytest.mark.parametrize("status", [401, 403, 421, 429, 503])
def test_a_refusal_that_is_not_about_a_model_is_one(status: int) -> None:
    problem = Problem(type="urn:gdws:problem:other", title="Not now", status=status)
    with pytest.raises(DeviceRefused):
        answering(problem.model_dump(), status=status).model(MODEL_ID)


@pytest.mark.parametrize("error", [httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), httpx.ReadError("reset")])
def test_what_does_not_answer_is_unreachable(error: httpx.TransportError) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise error

    with pytest.raises(DeviceUnreachable) as caught:
        client_of(fail).check()
    assert caught.value.hint


@pytest.mark.parametrize("url", ["", "http://", "ftp://device", "http://jetson:port", "file:///etc/passwd"])
def test_what_is_no_address_is_refused_at_once(url: str) -> None:
    with pytest.raises(DeviceUnreachable, match=r"is not (a valid|the) address"):
        DeviceClient(url)


def test_an_address_needs_no_scheme() -> None:
    assert DeviceClient("jetson.local:8000/").url == "http://jetson.local:8000"


def test_upload_sends_the_file_with_its_length_and_reports_blocks(tmp_path: Path) -> None:
    bundle = tmp_path / "model.gdws"
    bundle.write_bytes(b"x" * 600_000)
    seen: list[tuple[str, int]] = []
    told: list[int] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append((request.headers["content-length"], len(request.read())))
        return httpx.Response(201, json=MODEL)

    assert client_of(handler).upload(bundle, told.append).id == MODEL_ID
    assert seen == [("600000", 600_000)]
    assert sum(told) == 600_000
    assert len(told) > 1


def test_uploading_an_absent_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        answering(MODEL).upload(tmp_path / "absent.gdws")


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def following(answers: list[httpx.Response | Exception], reconnect_s: float = 20.0) -> Iterator[str]:
    """The states that ``follow`` gives for a row of answers; the last one repeats."""
    remaining = list(answers)
    clock = Clock()

    def handler(request: httpx.Request) -> httpx.Response:
        answer = remaining.pop(0) if len(remaining) > 1 else remaining[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    for job in client_of(handler).follow(
        "job-1", interval_s=1.0, reconnect_s=reconnect_s, sleep=clock.sleep, clock=clock
    ):
        yield job.state


def state(name: str) -> httpx.Response:
    return httpx.Response(200, json=JOB.model_copy(update={"state": name}).model_dump(mode="json"))


@pytest.mark.parametrize("end", ["done", "failed", "cancelled", "interrupted"])
def test_follow_gives_each_state_until_the_end(end: str) -> None:
    assert list(following([state("queued"), state("running"), state(end)])) == ["queued", "running", end]


def test_follow_retries_while_the_agent_is_unreachable() -> None:
    away = [httpx.ConnectError("refused")] * 15
    assert list(following([state("running"), *away, state("done")])) == ["running", "done"]


def test_follow_starts_its_time_limit_again_after_each_answer() -> None:
    away = [httpx.ConnectError("refused")] * 15
    assert list(following([*away, state("running"), *away, state("done")])) == ["running", "done"]


def test_follow_gives_up_on_an_agent_that_stays_away() -> None:
    states = following([state("running"), httpx.ConnectError("refused")])
    assert next(states) == "running"
    with pytest.raises(DeviceUnreachable):
        next(states)


def test_follow_does_not_wait_for_an_agent_that_refuses() -> None:
    problem = Problem(type="urn:gdws:problem:job-not-found", title="No such job", status=404)
    with pytest.raises(DeviceRefused):
        list(following([httpx.Response(404, json=problem.model_dump())]))


@pytest.fixture
def agent_url() -> Iterator[str]:
    """A real server on loopback that speaks a little of the interface."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(200, Health(agent_version="0.1.0", api_version=1, queued_jobs=0).model_dump())

        def do_POST(self) -> None:
            if self.path == "/models":
                self.rfile.read(int(self.headers["content-length"]))
                self.answer(201, MODEL)
            else:  # refuse before the body is read
                self.answer(413, {"type": "urn:gdws:problem:too-large", "title": "Too large", "status": 413})

        def answer(self, status: int, content: object) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_over_a_real_connection(agent_url: str, tmp_path: Path) -> None:
    bundle = tmp_path / "model.gdws"
    bundle.write_bytes(b"12345")
    with DeviceClient(agent_url) as client:
        assert client.check().status == "ok"
        assert client.upload(bundle).id == MODEL_ID
        with pytest.raises(DeviceRefused, match="Too large"):
            client.submit(BenchmarkRequest(model_id=MODEL_ID))


def test_loopback_is_reached_past_a_proxy(agent_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    with DeviceClient(agent_url) as client:
        assert client.check().status == "ok"


def test_nobody_listens() -> None:
    with socket.socket() as taken:  # bound, so that nobody else takes it, but not listening
        taken.bind(("127.0.0.1", 0))
        client = DeviceClient(f"http://127.0.0.1:{taken.getsockname()[1]}")
        with client, pytest.raises(DeviceUnreachable, match="cannot be reached") as caught:
            client.check()
    assert "gdws-agent" in (caught.value.hint or "")


@pytest.mark.parametrize(("says", "error"), [(b"220 ftp ready\r\n\r\n", DeviceProtocolError), (b"", DeviceUnreachable)])
def test_something_else_listens(says: bytes, error: type[Exception]) -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(says)

    thread = threading.Thread(target=serve)
    thread.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with listener, DeviceClient(url, answer_s=1.0) as client, pytest.raises(error):
        client.check()
    thread.join()


def test_cells_travel_whole() -> None:
    job = JOB.model_copy(update={"cells": [cell(DENSE, DENSE, 1)]})
    assert answering(job.model_dump(mode="json")).job("job-1") == job


@pytest.mark.parametrize(
    ("request_", "path"),
    [
        (BenchmarkRequest(model_id="a" * 64), "/benchmark"),
        (ProfileRequest(model_id="a" * 64, variant="dense"), "/profile"),
        (AttackRequest(model_id="a" * 64, precisions=["int8"]), "/attack"),
    ],
)
def test_each_kind_of_request_goes_its_way(request_: JobRequest, path: str) -> None:
    sent: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(202, json=JOB.model_dump(mode="json"))

    assert client_of(handler).submit(request_) == JOB
    assert [each.url.path for each in sent] == [path]
    assert type(request_).model_validate_json(sent[0].content) == request_
