"""A real agent under connections that say nothing, with fewer descriptors than there are of these."""

from __future__ import annotations

import contextlib
import socket
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from support.agent_process import running_agent
from support.agents import PATIENCE_S, FakeWorker
from support.bundles import tiny_bundle

pytestmark = pytest.mark.timeout(2 * PATIENCE_S)

DESCRIPTORS = 400
SILENT = 2 * DESCRIPTORS


@contextlib.contextmanager
def silent_connections(url, count):
    """So many open connections on which nothing is said; those that the agent closes are opened anew by nobody."""
    address = urlsplit(url)
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(socket.create_connection((address.hostname, address.port), PATIENCE_S))
        yield


def test_silent_connections_fail_no_cell_lock_nobody_out_and_fill_no_log(tmp_path):
    worker = FakeWorker(tmp_path / "worker")
    bundle = tiny_bundle(tmp_path / "tiny.gdws", net="linear").read_bytes()
    with running_agent(tmp_path / "data", worker, descriptors=DESCRIPTORS) as process:
        with silent_connections(process.url, SILENT):
            with httpx.Client(base_url=process.url, timeout=PATIENCE_S, trust_env=False) as client:
                assert client.get("/healthz").status_code == 200
                form = {"bundle": bundle, "request": (None, '{"batch_sizes": [1, 2, 3, 4, 5, 6]}')}
                job = client.post("/benchmark", params={"wait": PATIENCE_S}, files=form).json()
            open_descriptors = psutil.Process(process.process.pid).num_fds()
        assert (job["state"], {cell["state"] for cell in job["cells"]}) == ("done", {"done"})
        assert len(job["cells"]) == 12
        assert open_descriptors < DESCRIPTORS / 2
        assert process.log.stat().st_size < 20_000
