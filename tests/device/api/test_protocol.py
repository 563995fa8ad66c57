"""Connections that do not get on, on a real socket."""

import asyncio
import contextlib
import socket
import threading
from unittest.mock import Mock

import pytest
import uvicorn

from gdws_agent.api.connections import Places
from gdws_agent.api.protocol import PatientProtocol
from gdws_agent.server import bind
from support.agents import PATIENCE_S, eventually

LIMIT = 8
LARGE_BYTES = 8 * 2**20


class HastyProtocol(PatientProtocol):
    head_timeout_s = 0.05


async def app(scope, receive, send):
    if scope["path"] == "/refused":
        await send({"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})
        return
    if scope["path"] == "/large":
        headers = [(b"content-length", str(LARGE_BYTES).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": bytes(LARGE_BYTES)})
        return
    while (await receive()).get("more_body"):
        pass
    await asyncio.sleep(4 * HastyProtocol.head_timeout_s)  # longer than a head may take
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
def listener():
    with contextlib.closing(bind("127.0.0.1", 0)) as made:
        yield made


@pytest.fixture
def server(listener):
    class Limited(HastyProtocol):
        places = Places(LIMIT, local=0)

    config = uvicorn.Config(app, http=Limited, ws="none", lifespan="off", log_config=None, loop="asyncio")
    made = uvicorn.Server(config)
    thread = threading.Thread(target=made.run, kwargs={"sockets": [listener]})
    thread.start()
    yield made
    made.should_exit = True
    thread.join(PATIENCE_S)


@pytest.fixture
def connect(listener, server):
    with contextlib.ExitStack() as stack:

        def made(receive_buffer=None):
            connection = stack.enter_context(socket.socket())
            if receive_buffer is not None:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            connection.settimeout(PATIENCE_S)
            connection.connect(listener.getsockname())
            return connection

        yield made


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


def until_closed(connection):
    """Return all that comes until the server closes the connection."""
    return b"".join(iter(lambda: connection.recv(65_536), b""))


def test_the_rest_of_a_body_that_nobody_wants_keeps_no_connection(connect):
    """Sent byte by byte behind its answer: each byte would set the clock for idle connections back."""
    connection = connect()
    connection.sendall(b"POST /refused HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
    assert connection.recv(100).startswith(b"HTTP/1.1 401")
    stopped = threading.Event()

    def trickle():
        with contextlib.suppress(OSError):
            while not stopped.wait(HastyProtocol.head_timeout_s / 10):
                connection.sendall(b"x")

    trickling = threading.Thread(target=trickle)
    trickling.start()
    try:
        with contextlib.suppress(ConnectionResetError):
            until_closed(connection)
    finally:
        stopped.set()
        trickling.join(PATIENCE_S)


def test_an_answer_that_nobody_reads_keeps_no_connection(connect, server):
    connection = connect(receive_buffer=4_096)
    connection.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
    eventually(lambda: server.server_state.total_requests == 1)
    eventually(lambda: not server.server_state.connections)


@pytest.mark.parametrize(
    ("unsent_bytes", "ended"),
    [([0], "close"), ([9, 9], "abort"), ([9, 7, 3, 0], "close"), ([9, 7, 7], "abort"), ([9, 8, 9], "abort")],
)
def test_a_client_that_reads_slowly_may_read_on(unsent_bytes, ended):
    """At each turn of the clock so many bytes of the answer are unsent."""
    protocol = object.__new__(PatientProtocol)
    protocol.transport, protocol.loop = Mock(), Mock()
    protocol.transport.get_write_buffer_size.side_effect = unsent_bytes

    for _ in unsent_bytes:
        assert not protocol.transport.close.called
        assert not protocol.transport.abort.called
        protocol._give_up()

    assert getattr(protocol.transport, ended).called
    assert protocol.loop.call_later.call_count == len(unsent_bytes) - 1


def test_connections_that_say_nothing_make_room_and_a_request_is_answered(connect, server):
    silent = [connect() for _ in range(3 * LIMIT)]
    connection = connect()
    connection.sendall(HEAD + b"Connection: close\r\n\r\n")
    assert until_closed(connection).startswith(b"HTTP/1.1 200")
    assert len(server.server_state.connections) <= LIMIT
    for each in silent[:LIMIT]:
        with contextlib.suppress(ConnectionResetError):
            assert each.recv(1) == b""


def test_what_finds_no_place_is_told_so(connect, server):
    busy = [connect() for _ in range(LIMIT)]
    for each in busy:
        each.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nx")
    eventually(lambda: len(server.server_state.tasks) == LIMIT)
    assert until_closed(connect()).startswith(b"HTTP/1.1 503")
    for each in busy:
        each.sendall(b"y")
        assert each.recv(100).startswith(b"HTTP/1.1 200")
