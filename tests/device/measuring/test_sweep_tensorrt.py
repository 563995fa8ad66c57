"""The sweep over the TensorRT backend, on the stand-ins for TensorRT and pycuda, whose events tell times."""

import pytest

from gdws_agent.backends import registry
from gdws_agent.measuring import device_times
from gdws_agent.measuring.messages import CellEvent, WorkOrder
from gdws_agent.measuring.sweep import Sweep
from gdws_agent.power.none import NoSensor
from gdws_contract.archive import open_bundle
from gdws_contract.profiles import ProfileOptions
from gdws_contract.rest import Protocol
from support.bundles import tiny_bundle
from support.tensorrt_installed import install

pytest.importorskip("onnxruntime", reason="the double of TensorRT runs on onnxruntime")

ROUNDS = 2
PROTOCOL = Protocol(warmup_ms=0, warmup_max_ms=0, min_duration_ms=0, min_iterations=6, rounds=ROUNDS, threads=1)


def sweep(path, **order):
    """{variant: cell} of a sweep with TensorRT."""
    fields = {
        "job_id": "job",
        "bundle_path": str(path),
        "cache_dir": str(path.parent),
        "backend": "tensorrt",
        "precision": "fp32",
        "batch_size": 2,
        "variants": ["dense", "gdws"],
        "protocol": PROTOCOL,
        **order,
    }
    events = []
    with open_bundle(path) as bundle:
        Sweep(WorkOrder(**fields), bundle, registry.get("tensorrt"), NoSensor(), events.append).run()
    return {event.cell.key.variant: event.cell for event in events if isinstance(event, CellEvent)}


@pytest.fixture
def path(tmp_path, monkeypatch):
    install(monkeypatch)
    return tiny_bundle(tmp_path / "tiny.gdws")


def test_the_events_of_the_device_tell_copies_and_computing(path):
    cells = sweep(path)
    assert {variant: cell.state for variant, cell in cells.items()} == {"dense": "done", "gdws": "done"}
    for cell in cells.values():
        times = cell.device_latency
        assert times.count == ROUNDS * device_times.INFERENCES
        parts = (times.h2d, times.compute, times.d2h)
        assert all(part.min_ms <= part.median_ms <= part.max_ms for part in parts)
        assert sum(part.mean_ms for part in parts) > 0
        assert cell.latency.count == sum(window.count for window in cell.rounds)


def test_its_layers_can_be_timed(path):
    cells = sweep(path, profile=ProfileOptions(iterations=3))
    for cell in cells.values():
        assert cell.state == "done", cell.error
        assert (cell.profile.iterations, cell.latency) == (3, None)
        assert cell.profile.layers
        assert sum(layer.share for layer in cell.profile.layers) == pytest.approx(1.0)
