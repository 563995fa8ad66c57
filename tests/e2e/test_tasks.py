"""Networks that are not classifiers, the whole way: convert, measure on an agent, report, compare, gate."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.agent_process import AgentProcess, running_agent
from support.brief_worker import BriefWorker
from support.command import gdws
from support.vision_networks import write_networks

#: What stands for the quality of each network, and what it is called.
METRICS = {
    "detector": ("detections_kept", "detections kept"),
    "segmenter": ("pixel_agreement", "pixels that agree"),
    "heads": ("cosine.output_1", "cosine similarity of output_1"),
}
OUTPUTS = {"detector": ["float32"], "segmenter": ["float32"], "heads": ["float32", "float32", "int64"]}


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentProcess]:
    with running_agent(tmp_path_factory.mktemp("device") / "data", BriefWorker()) as agent:
        yield agent


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_networks(tmp_path_factory.mktemp("networks"))


def run(*arguments: object) -> str:
    found = gdws(*arguments)
    assert found.exit_code == 0, found.output
    return found.stdout


@pytest.mark.timeout(400)
@pytest.mark.parametrize("network", METRICS)
def test_from_weights_to_a_gate(
    network: str, folder: Path, device: AgentProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    metric, words = METRICS[network]
    bundle, result = f"{network}.gdws", f"{network}.json"
    where = [f"{network}.pth", "--module", f"own_networks:{network}", "--input-shape", "3,64,64"]
    told = run("convert", *where, "--data", "images", "--mean-rank", 2, "--layout", "stacked", "--out", bundle, "-q")
    assert told.startswith("dense: ")
    assert words in told

    brief = ["--device", device.url, "--rounds", 2, "--min-duration", 0.05, "--min-iterations", 10, "-q"]
    shown = run("bench", bundle, "--backends", "onnxruntime,pytorch", *brief, "--out", result)
    assert words in shown
    measured = json.loads(Path(result).read_text())
    cells = measured["job"]["cells"]
    assert {cell["key"]["backend"] for cell in cells} == {"onnxruntime", "pytorch"}
    assert [output["dtype"] for output in measured["manifest"]["outputs"]] == OUTPUTS[network]
    for cell in cells:
        assert cell["state"] == "done", cell
        _check_parity(cell["parity"], OUTPUTS[network])

    run("report", result, "--out", f"{network}.html")
    page = Path(f"{network}.html").read_text()
    assert words in page.lower() or words in page
    assert "Natural<br>accuracy" not in page
    run("compare", result, result, "--out", f"{network}.md")
    assert words in re.sub(r"\\(.)", r"\1", Path(f"{network}.md").read_text())

    gate = ["gate", bundle, "--backends", "onnxruntime", *brief, "--max-runs", 2, "--max-drop"]
    assert f"{words} " in run(*gate, f"{metric}=99")
    assert gdws(*gate, f"{metric}=0").exit_code in (1, 2)


def _check_parity(parity: dict[str, Any], dtypes: list[str]) -> None:
    """Each output is compared by itself: floats by their difference, integers by how many are equal."""
    assert parity["passed"]
    assert len(parity["outputs"]) == len(dtypes)
    for output, dtype in zip(parity["outputs"], dtypes, strict=True):
        if dtype == "float32":
            assert output["max_rel_diff"] < 1e-3
            assert output["agreement"] is None
        else:
            assert output["agreement"]["successes"] >= output["agreement"]["count"] - 1
