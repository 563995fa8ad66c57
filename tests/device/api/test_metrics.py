import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from gdws_agent.api.app import create_app
from gdws_agent.api.metrics import Metrics
from gdws_agent.board.live import LiveBoard
from gdws_agent.jobs.events import JobEvent, JobEvents
from support.agents import PATIENCE_S, agent, cell
from support.sysfs import put, put_ina3221


class Jobs:
    """A queue that is asked and tells."""

    def __init__(self):
        self.events = JobEvents()

    def count_queued(self):
        return 3

    def running_id(self):
        return "a"


def samples(text):
    """Return {(name, labels): value}."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(found, name, **labels):
    return found.get((name, tuple(sorted(labels.items()))))


@pytest.fixture
def jobs():
    return Jobs()


@pytest.fixture
def metrics(jobs, tmp_path):
    return Metrics(jobs, LiveBoard(tmp_path))


def test_jobs_and_cells_are_counted_as_they_end(jobs, metrics):
    jobs.events.tell(JobEvent("a", state="queued"))
    jobs.events.tell(JobEvent("a", state="running"))
    jobs.events.tell(JobEvent("a", progress={"stage": "build"}))
    jobs.events.tell(JobEvent("a", cell=cell()))
    jobs.events.tell(JobEvent("a", cell=cell("gdws", state="failed")))
    jobs.events.tell(JobEvent("a", state="done"))
    found = samples(metrics.render().decode())

    assert value(found, "gdws_agent_jobs_total", state="done") == 1
    assert value(found, "gdws_agent_jobs_total", state="failed") == 0
    assert value(found, "gdws_agent_cells_total", state="done", backend="onnxruntime") == 1
    assert value(found, "gdws_agent_cells_total", state="failed", backend="onnxruntime") == 1
    assert value(found, "gdws_agent_cell_duration_seconds_count", backend="onnxruntime") == 2
    assert value(found, "gdws_agent_queue_length") == 3
    assert value(found, "gdws_agent_running_jobs") == 1
    assert value(found, "process_resident_memory_bytes") > 0


def test_power_and_heat_are_there_where_files_show_them(metrics, tmp_path):
    put(tmp_path / "class/thermal/thermal_zone0/type", "CPU-therm")
    put(tmp_path / "class/thermal/thermal_zone0/temp", 41500)
    put_ina3221(tmp_path, "1-0040", {"VDD_IN": (5000, 2000)})
    found = samples(metrics.render().decode())
    assert value(found, "gdws_agent_temperature_celsius", zone="CPU-therm") == 41.5
    assert value(found, "gdws_agent_power_watts", rail="VDD_IN") == 10.0


def test_what_no_file_shows_is_left_out(metrics):
    assert not [name for name, _ in samples(metrics.render().decode()) if "power" in name or "celsius" in name]


def test_requests_are_timed_by_the_template_of_their_route(worker, bundle, tmp_path):
    with agent(tmp_path / "data", worker, max_upload_mb=1) as service, TestClient(create_app(service)) as client:
        client.post("/benchmark", files={"bundle": bundle}, params={"wait": PATIENCE_S})
        client.post("/models", content=bundle)
        client.post("/models", content=b"no bundle")
        for path in ("/benchmark/a", "/benchmark/b", "/nope", "/wp-login.php"):
            client.get(path)
        client.request("BREW", "/models")
        response = client.get("/metrics")
    found = samples(response.text)
    name = "gdws_agent_http_request_duration_seconds_count"

    assert response.headers["content-type"].startswith("text/plain; version=")
    assert value(found, name, method="POST", route="/benchmark", status="200") == 1
    assert value(found, name, method="GET", route="/benchmark/{job_id}", status="404") == 2
    assert value(found, name, method="GET", route="unmatched", status="404") == 2
    assert [labels for each, labels in found if each == name and ("method", "other") in labels]
    assert value(found, "gdws_agent_uploads_total", outcome="taken") == 2
    assert value(found, "gdws_agent_uploads_total", outcome="refused") == 1
    assert value(found, "gdws_agent_upload_bytes_total") > 2 * len(bundle)
    assert value(found, "gdws_agent_http_requests_in_progress") == 1
    assert value(found, "gdws_agent_jobs_total", state="done") == 1
    assert value(found, "gdws_agent_cells_total", state="done", backend="onnxruntime") == 2
