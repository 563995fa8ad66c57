"""Connections that do not get on, on a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading

import pytest
import uvicorn

from gdws_agent.api.protocol import PatientProtocol
from gdws_agent.server import bind
from support.agents import PATIENCE_S


class HastyProtocol(PatientProtocol):
    head_timeout_s = 0.05


async def app(scope, receive, send):
    while (await receive()).get("more_body"):
        pass
    await asyncio.sleep(4 * HastyProtocol.head_timeout_s)  # longer than a head may take
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
def connect():
    listener = bind("127.0.0.1", 0)
    config = uvicorn.Config(app, http=HastyProtocol, ws="none", lifespan="off", log_config=None, loop="asyncio")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    with contextlib.ExitStack() as stack:

        def made():
            connection = stack.enter_context(socket.create_connection(listener.getsockname()))
            connection.settimeout(PATIENCE_S)
            return connection

        yield made
    server.should_exit = True
    thread.join(PATIENCE_S)
    listener.close()


HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize("sent", [b"", b"G", HEAD])
def test_a_head_that_does_not_come_ends_the_connection(connect, sent):
    connection = connect()
    connection.sendall(sent)
    assert connection.recv(100) == b""


def test_the_second_head_on_a_connection_has_its_time_too(connect):
    connection = connect()
    connection.sendall(HEAD + b"\r\n")
    assert connection.recv(100).startswith(b"HTTP/1.1 200")
    connection.sendall(HEAD)
    answer = b""
    while True:
        more = connection.recv(100)
        if not more:
            break
        answer += more
    assert b"HTTP" not in answer


def test_a_body_and_an_answer_may_take_longer(connect):
    connection = connect()
    connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nx")
    threading.Timer(4 * HastyProtocol.head_timeout_s, connection.sendall, [b"y"]).start()
    assert connection.recv(100).startswith(b"HTTP/1.1 200")
