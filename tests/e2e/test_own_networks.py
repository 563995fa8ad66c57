"""Networks of others and data of one's own, from a file to a report, by the command line alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from gdws.onnx_io.export import export
from gdws_contract.archive import open_bundle
from support.agent_process import running_agent
from support.brief_worker import BriefWorker
from support.command import gdws
from support.image_files import write_classes
from support.recurrent_graph import CLASSES, HEIGHT, WIDTH, recurrent

FITTED = ("--method", "data-aware", "--mean-rank", 1, "--layout", "stacked", "--verification", 4, "--quiet")


@pytest.fixture(scope="module")
def agent(tmp_path_factory):
    with running_agent(tmp_path_factory.mktemp("agent"), BriefWorker()) as process:
        yield process


def run(*arguments: object) -> str:
    shown = gdws(*arguments)
    assert shown.exit_code == 0, shown.output
    return shown.stderr


def measured(bundle: Path, agent: object, folder: Path) -> list[dict]:
    """What ``gdws report`` tells of the networks in ``bundle`` after ``gdws bench``."""
    result, report = folder / "result.json", folder / "report.json"
    timing = ("--backends", "onnxruntime", "--batch", "1,2", "--threads", 1, "--min-duration", 0.05, "--warmup", 0.01)
    run("bench", bundle, "--device", agent.url, *timing, "--out", result, "--quiet")
    run("report", result, "--out", folder / "report.html")
    assert "stacked" in (folder / "report.html").read_text()
    run("report", result, "--out", report)
    [told] = json.loads(report.read_text())["results"]
    return told["facts"]["measurements"]


def assert_all_measured(cells: list[dict]) -> None:
    assert {(cell["variant"], cell["setting"]["batch_size"]) for cell in cells} == {
        (name, batch) for batch in (1, 2) for name in ("dense", "data-rank-1-stacked")
    }
    for cell in cells:
        assert cell["state"] == "done", cell["reason"]
        assert cell["latency"]["median_ms"] > 0


def test_a_network_that_stays_a_graph(tmp_path, agent, capfd):
    onnx.save(recurrent(channels=3), tmp_path / "recurrent.onnx")
    images = write_classes(tmp_path, {"crops": 60}, height=HEIGHT, width=WIDTH) / "crops"
    out = tmp_path / "recurrent.gdws"
    said = run("convert", "--onnx", tmp_path / "recurrent.onnx", "--data", images, *FITTED, "--out", out)
    assert "'lstm' (LSTM) cannot be rebuilt" in said
    assert not capfd.readouterr().err, "native code of a library spoke"
    with open_bundle(out) as bundle:
        manifest = bundle.manifest
        nodes = onnx.load_from_string(bundle.read(manifest.variants[1].onnx)).graph.node
    assert "LSTM" in {node.op_type for node in nodes}
    assert {layer.name for layer in manifest.variants[1].layers if layer.converted} == {"body_0/Conv", "body_1/Conv"}
    assert manifest.outputs[0].shape == [CLASSES]
    assert manifest.verification.origin == "network"
    assert manifest.variants[1].evaluation.natural.count == 18
    assert_all_measured(measured(out, agent, tmp_path))


class Beats(nn.Module):
    """Four classes of signals (N, 2, L)."""

    def __init__(self) -> None:
        super().__init__()
        layers = [nn.Conv1d(2, 8, 7, padding=3), nn.ReLU(), nn.Conv1d(8, 8, 5, stride=2, padding=2), nn.ReLU()]
        self.body = nn.Sequential(*layers, nn.Conv1d(8, 12, 5, padding=2), nn.ReLU())
        self.head = nn.Linear(12, 4)

    def forward(self, x):
        return self.head(self.body(x).mean(dim=2))


@pytest.mark.parametrize("kind", ["onnx", "module"])
def test_signals_with_labels(tmp_path, agent, monkeypatch, kind):
    torch.manual_seed(0)
    network = Beats().eval()
    rng = np.random.default_rng(0)
    signals = 300 * rng.standard_normal((60, 2, 64)).cumsum(axis=2)
    np.savez(tmp_path / "beats.npz", signals=signals, labels=rng.integers(0, 4, 60))
    if kind == "onnx":
        (tmp_path / "beats.onnx").write_bytes(export(network, (2, 64)))
        source: tuple[object, ...] = ("--onnx", tmp_path / "beats.onnx")
    else:
        torch.save(network.state_dict(), tmp_path / "beats.pth")
        source = (tmp_path / "beats.pth", "--module", f"{__name__}:Beats", "--input-shape", "2,64")
    images = ("--data", tmp_path / "beats.npz", "--std", "1000")
    said = gdws("evaluate", *source, *images, "--json")
    assert said.exit_code == 0, said.output
    assert 16 <= json.loads(said.stdout)["natural"]["count"] <= 20
    out = tmp_path / "beats.gdws"
    said = run("convert", *source, *images, *FITTED, "--out", out)
    assert "60 signals, 4 classes" in said
    with open_bundle(out) as bundle:
        manifest = bundle.manifest
    assert (manifest.input.shape, manifest.input.high) == ([2, 64], None)
    assert manifest.provenance["images"]["range"] is None
    assert manifest.verification.origin == "labelled"
    assert sum(layer.converted for layer in manifest.variants[1].layers) == 2
    assert_all_measured(measured(out, agent, tmp_path))


def test_signals_of_noise_and_no_attacks_on_signals(tmp_path):
    (tmp_path / "beats.onnx").write_bytes(export(Beats().eval(), (2, 64)))
    source = ("--onnx", tmp_path / "beats.onnx", "--data", "random")
    run("convert", *source, "--mean-rank", 2, "--verification", 4, "--quiet", "--out", tmp_path / "a.gdws")
    for command in (("convert", "--mean-rank", 2, "--out", tmp_path / "b.gdws"), ("evaluate",)):
        refused = gdws(command[0], *source, *command[1:], "--attack", "pgd", "--protocol", "mnist", "--quiet")
        assert refused.exit_code == 2
        assert "an attack needs images, but these are signals (2, 64)" in refused.stderr
