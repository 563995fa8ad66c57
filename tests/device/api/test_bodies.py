import asyncio

import pytest
from fastapi.testclient import TestClient

from gdws_agent.api.app import create_app
from gdws_agent.api.bodies import BodyLimits
from gdws_agent.errors import BodyTooLarge, BodyTooSlow
from support.agents import agent


def receive_all(messages, *, method="POST", path="/benchmark", headers=(), clock=lambda: 0.0, silence_s=30.0):
    """Read a body through the limits and return what arrived."""
    pending = list(messages)

    async def receive():
        if pending:
            return pending.pop(0)
        return await asyncio.get_event_loop().create_future()

    async def app(scope, receive, send):
        got = []
        while True:
            message = await receive()
            got.append(message)
            if not message.get("more_body"):
                break
        taken.extend(got)

    taken = []
    scope = {"type": "http", "method": method, "path": path, "headers": list(headers)}
    limits = BodyLimits(app, 3 * 2**20, max_silence_s=silence_s, clock=clock)
    asyncio.run(limits(scope, receive, None))
    return taken


def piece(size, more=True):
    return {"type": "http.request", "body": bytes(size), "more_body": more}


FORM = [(b"content-type", b"Multipart/Form-Data; boundary=x")]


@pytest.mark.parametrize(
    ("method", "path", "headers", "limit"),
    [
        ("POST", "/benchmark", [], 2**20),
        ("POST", "/profile", [(b"content-type", b"application/json")], 2**20),
        ("POST", "/benchmark", FORM, 3 * 2**20),
        ("POST", "/models", [], 3 * 2**20),
        ("PUT", "/models", FORM, 2**20),
        ("GET", "/device", [], 2**20),
        ("DELETE", "/models/x", [], 2**20),
    ],
)
def test_what_arrives_is_counted_whatever_is_announced(method, path, headers, limit):
    headers = [*headers, (b"content-length", b"1")]
    whole = [piece(limit // 2), piece(limit // 2, more=False)]
    assert len(receive_all(whole, method=method, path=path, headers=headers)) == 2
    with pytest.raises(BodyTooLarge) as caught:
        receive_all([piece(limit // 2), piece(limit // 2), piece(1)], method=method, path=path, headers=headers)
    assert str(limit) in caught.value.message


def test_a_body_that_stops_is_given_up():
    with pytest.raises(BodyTooSlow) as caught:
        receive_all([piece(10)], silence_s=0.01)
    assert "0.01 s" in caught.value.message


def test_a_body_that_trickles_is_given_up():
    now = iter(range(0, 1_000, 10))
    with pytest.raises(BodyTooSlow) as caught:
        receive_all([piece(1)] * 50, clock=lambda: next(now))
    assert "4 bytes in 40 s" in caught.value.message


def test_a_large_body_may_take_its_time():
    now = iter(range(0, 1_000, 10))
    pieces = [piece(2**15)] * 50 + [piece(1, more=False)]
    assert len(receive_all(pieces, path="/models", clock=lambda: next(now))) == 51


def test_waiting_for_the_end_of_a_client_is_not_bounded():
    """Held answers wait for a disconnection behind the whole body, much longer than a body may be silent."""

    async def scenario():
        messages = asyncio.Queue()
        messages.put_nowait(piece(1, more=False))

        async def app(scope, receive, send):
            await receive()
            waiting = asyncio.ensure_future(receive())
            await asyncio.sleep(0.05)
            assert not waiting.done()
            messages.put_nowait({"type": "http.disconnect"})
            assert (await waiting)["type"] == "http.disconnect"

        scope = {"type": "http", "method": "POST", "path": "/benchmark", "headers": []}
        await BodyLimits(app, 1, max_silence_s=0.01)(scope, messages.get, None)

    asyncio.run(scenario())


@pytest.mark.parametrize("path", ["/benchmark", "/profile", "/lease"])
def test_too_large_a_body_is_a_problem_on_every_route_that_reads_one(tmp_path, path):
    with agent(tmp_path / "data", max_upload_mb=5) as service, TestClient(create_app(service)) as client:
        response = client.post(path, content=bytes(2**20 + 1), headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["type"]) == (413, "urn:gdws:problem:body-too-large")
