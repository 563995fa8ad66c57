"""A real agent under connections that say nothing, with fewer descriptors than there are of these."""

import contextlib
import socket
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from support.agent_process import running_agent
from support.agents import PATIENCE_S

pytestmark = pytest.mark.timeout(2 * PATIENCE_S)

DESCRIPTORS = 400
SILENT = 2 * DESCRIPTORS


@contextlib.contextmanager
def silent_connections(url, count, said):
    """So many open connections on which no more than ``said`` is; those that the agent closes are not opened again."""
    address = urlsplit(url)
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            connection = stack.enter_context(socket.create_connection((address.hostname, address.port), PATIENCE_S))
            connection.sendall(said)
        yield


@pytest.mark.parametrize("said", [b"", b"GET /healthz HTTP/1.1\r\nHo"])
def test_silent_connections_fail_no_cell_lock_nobody_out_and_fill_no_log(bundle, worker, tmp_path, said):
    with running_agent(tmp_path / "data", worker, descriptors=DESCRIPTORS) as process:
        with silent_connections(process.url, SILENT, said):
            with httpx.Client(base_url=process.url, timeout=PATIENCE_S, trust_env=False) as client:
                assert client.get("/healthz").status_code == 200
                form = {"bundle": bundle, "request": (None, '{"batch_sizes": [1, 2, 3, 4, 5, 6]}')}
                job = client.post("/benchmark", params={"wait": PATIENCE_S}, files=form).json()
            open_descriptors = psutil.Process(process.process.pid).num_fds()
        assert (job["state"], {cell["state"] for cell in job["cells"]}) == ("done", {"done"})
        assert len(job["cells"]) == 12
        assert open_descriptors < DESCRIPTORS / 2
        assert process.log.stat().st_size < 20_000


#: What a stranger can send over and over, each with as long a head as is taken.
LONG = "x" * 12_000
NUISANCES = {
    "a foreign page": f"POST /{LONG} HTTP/1.1\r\nHost: x\r\nOrigin: http://evil.example\r\n\r\n",
    "a foreign name": f"GET /{LONG} HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    "no token": f"POST /{LONG} HTTP/1.1\r\nHost: x\r\n\r\n",
    "a wrong token": f"GET /{LONG} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {LONG[:3_000]}\r\n\r\n",
    "no HTTP": f"\x01 {LONG}\r\n\r\n",
    "an upgrade": f"GET /{LONG} HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    "two lengths": f"POST /{LONG} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    "too long a head": f"GET /{LONG * 3} HTTP/1.1\r\nHost: x\r\n\r\n",
    "an unknown method": f"{'A' * 500} /{LONG} HTTP/1.1\r\nHost: x\r\n\r\n",
    "a head alone": f"HEAD / HTTP/1.1\r\nHost: x\r\nX: {LONG}\r\n\r\n",
}
TIMES = 150


@pytest.mark.parametrize("options", [[], ["--log-format=json", "--log-level=debug"]])
def test_the_log_is_not_filled_by_strangers(tmp_path, options):
    tokens = {"GDWS_AGENT_TOKEN": "f" * 32}
    with running_agent(tmp_path / "data", None, *options, environment=tokens) as process:
        address = urlsplit(process.url)
        before = process.log.stat().st_size
        for text in NUISANCES.values():
            for _ in range(TIMES):
                with socket.create_connection((address.hostname, address.port), PATIENCE_S) as connection:
                    connection.sendall(text.encode("latin-1"))
                    with contextlib.suppress(ConnectionResetError):
                        assert connection.recv(12)[:9] in (b"HTTP/1.1 ", b"")
        written = process.log.stat().st_size - before
    sent = TIMES * sum(map(len, NUISANCES.values()))
    assert written < 300_000 < sent / 10
