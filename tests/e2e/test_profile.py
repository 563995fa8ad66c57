"""Profiles for real: the command line, an agent in its own process, its worker, and the runtimes that are here."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from gdws.results.stored import load_result
from support.agent_process import AgentProcess, running_agent
from support.bundles import tiny_bundle
from support.command import gdws

BACKENDS = {"onnxruntime": "onnxruntime", "pytorch": "onnx2torch", "pytorch-channels-last": "onnx2torch"}


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentProcess]:
    with running_agent(tmp_path_factory.mktemp("agent") / "data") as made:
        yield made


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny.gdws")


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_convolution_of_a_variant_is_timed(
    agent: AgentProcess, bundle: Path, tmp_path: Path, backend: str
) -> None:
    if importlib.util.find_spec(BACKENDS[backend]) is None:
        pytest.skip(f"{BACKENDS[backend]} is not installed here")
    out = tmp_path / "profile.json"
    arguments = ["profile", bundle, "--device", agent.url, "--variant", "gdws", "--backend", backend]
    arguments += ["--batch", "2", "--iterations", "5", "--threads", "1", "--out", out, "-q"]
    shown = gdws(*arguments)

    assert shown.exit_code == 0, shown.output
    (cell,) = load_result(out).job.cells
    assert cell.profile is not None
    assert (cell.key.variant, cell.key.backend, cell.profile.iterations) == ("gdws", backend, 5)
    assert cell.latency is None
    names = " ".join(layer.name for layer in cell.profile.layers)
    assert "depthwise" in names
    assert "pointwise" in names
    assert sum(layer.share for layer in cell.profile.layers) == pytest.approx(1)
    assert cell.profile.total_ms == pytest.approx(sum(layer.mean_ms for layer in cell.profile.layers))
    assert cell.profile.tool in shown.stdout


def test_a_variant_that_fails_parity_is_not_profiled(agent: AgentProcess, tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "bad.gdws", faults={"gdws": "nan"})
    arguments = ["profile", str(bundle), "--device", agent.url, "--variant", "gdws", "-q"]
    shown = gdws(*arguments)

    assert shown.exit_code == 1
    assert "failed parity" in shown.stderr
