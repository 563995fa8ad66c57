"""An agent on a machine with ONNX Runtime alone, and a client of its application."""

import pytest
from fastapi.testclient import TestClient

from gdws_agent.api.app import create_app
from support.agents import agent, available, fake_probes, missing


@pytest.fixture
def service(tmp_path, worker):
    probes = fake_probes(available(), missing("tensorrt", "no GPU"))
    with agent(tmp_path / "data", worker, probes, max_upload_mb=1, max_queued_jobs=4) as made:
        yield made


@pytest.fixture
def client(service):
    with TestClient(create_app(service), raise_server_exceptions=False) as made:
        yield made
