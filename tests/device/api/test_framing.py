"""Bodies whose end is stated twice, on a real socket, since clients do not send them."""

import json
import re
import socket
from urllib.parse import urlsplit

import pytest

from support.agent_process import running_agent
from support.agents import PATIENCE_S

pytestmark = pytest.mark.timeout(PATIENCE_S)

#: A body by its chunks is empty, and what follows is a request; by its length it is all of this.
SMUGGLED = b"0\r\n\r\nGET /device HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with running_agent(tmp_path_factory.mktemp("agent") / "data") as process:
        yield urlsplit(process.url)


def answers_to(address, head, body=SMUGGLED):
    """Return all that comes until the agent closes the connection."""
    with socket.create_connection((address.hostname, address.port), PATIENCE_S) as connection:
        connection.sendall(head + b"\r\nHost: localhost\r\n\r\n" + body)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


@pytest.mark.parametrize("path", [b"/benchmark", b"/models", b"/healthz", b"/nope"])
@pytest.mark.parametrize(
    "lengths",
    [
        b"Content-Length: 48\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5",
        b"transfer-encoding: Chunked\r\ncontent-length: 0",
    ],
)
def test_two_lengths_are_refused_and_nothing_behind_them_is_taken_for_a_request(address, path, lengths):
    answer = answers_to(address, b"POST " + path + b" HTTP/1.1\r\n" + lengths)

    assert answer.startswith(b"HTTP/1.1 400")
    assert len(re.findall(rb"HTTP/1\.1 \d{3}", answer)) == 1
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"connection: close" in head.lower()
    assert json.loads(body)["type"] == "urn:gdws:problem:framing-ambiguous"


def test_chunks_are_not_for_http_1_0(address):
    answer = answers_to(address, b"POST /benchmark HTTP/1.0\r\nTransfer-Encoding: chunked")
    assert answer.split()[1] == b"400"


def test_one_length_passes(address):
    chunked = answers_to(
        address, b"POST /lease HTTP/1.1\r\nTransfer-Encoding: chunked\r\nConnection: close", b"0\r\n\r\n"
    )
    counted = answers_to(address, b"POST /lease HTTP/1.1\r\nContent-Length: 2\r\nConnection: close", b"{}")
    assert (chunked.split()[1], counted.split()[1]) == (b"415", b"415")
