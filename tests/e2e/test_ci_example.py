"""A model repository whose pipeline runs end to end, on an agent that really measures."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.agent_process import AgentProcess, running_agent
from support.agents import PATIENCE_S, FakeWorker

pytestmark = pytest.mark.timeout(900)

EXAMPLE = Path(__file__).with_name("ci_example")
TEMPLATE = Path(__file__).parents[2] / "host" / "ci" / "gdws-gate.gitlab-ci.yml"


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentProcess]:
    with running_agent(tmp_path_factory.mktemp("device") / "data") as agent:
        yield agent


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A copy of the example with its main branch committed."""
    folder = tmp_path / "repository"
    shutil.copytree(EXAMPLE, folder)
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message=The network as trained")
    return folder


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True)


def change(repository: Path, **fields: object) -> None:
    """Commit a change of the network on a branch of its own."""
    path = repository / "network.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
    git(repository, "switch", "--quiet", "--create", "change")
    git(repository, "commit", "--quiet", "--all", "--message=Change the network")


def start_pipeline(repository: Path, url: str) -> subprocess.Popen[bytes]:
    """Start the job ``gate`` as a GitLab runner does: its script with the template's, in one shell."""
    job = yaml.safe_load((repository / ".gitlab-ci.yml").read_text())["gate"]
    template = yaml.safe_load(TEMPLATE.read_text())[job["extends"]]
    script = "\n".join([*job["before_script"], *template["script"]])
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
        "GDWS_DATA_DIR": str(repository / "user"),
        **template["variables"],
        **job["variables"],
        "GDWS_DEVICE": url,
    }
    return subprocess.Popen(
        ["bash", "-eo", "pipefail", "-c", script],
        cwd=repository,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def run_pipeline(repository: Path, url: str) -> tuple[int, dict[str, Any], str]:
    """The exit code of the job, gate.json, and what it said."""
    job = start_pipeline(repository, url)
    told, _ = job.communicate()
    report = repository / "gdws-gate" / "gate.json"
    return job.returncode, json.loads(report.read_text()) if report.exists() else {}, told.decode()


def failed_limits(report: dict[str, Any]) -> set[str]:
    return {verdict["limit"] for verdict in report["devices"][0]["verdicts"] if verdict["outcome"] == "FAIL"}


def test_a_good_change_passes(repository: Path, device: AgentProcess) -> None:
    change(repository, note="trained again, and the same came of it")
    code, report, told = run_pipeline(repository, device.url)
    assert (code, failed_limits(report)) == (0, set()), told


def test_a_slower_network_fails(repository: Path, device: AgentProcess) -> None:
    change(repository, burden=192)
    code, report, told = run_pipeline(repository, device.url)
    assert (code, failed_limits(report)) == (1, {"max_slowdown_percent"}), told


def test_a_less_robust_network_fails(repository: Path, device: AgentProcess) -> None:
    change(repository, blur=0.8)
    code, report, told = run_pipeline(repository, device.url)
    assert (code, failed_limits(report)) == (1, {"max_robust_drop_points"}), told
    assert report["devices"][0]["finished_runs"] == 2


def test_an_agent_that_dies_is_no_fail(repository: Path, tmp_path: Path) -> None:
    change(repository, note="good, and never measured")
    (repository / "gdws-gate.toml").write_text("")
    worker = FakeWorker(tmp_path / "worker", {"candidate.dense": "hang"})
    with running_agent(tmp_path / "data", worker) as dying:
        job = start_pipeline(repository, dying.url)
        worker.wait_until_reached()
        dying.process.kill()
        told, _ = job.communicate(timeout=2 * PATIENCE_S)
    assert job.returncode == 3, told
    assert json.loads((repository / "gdws-gate" / "gate.json").read_text())["outcome"] is None
