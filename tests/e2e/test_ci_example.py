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
from support.brief_worker import BriefWorker

pytestmark = pytest.mark.timeout(900)

EXAMPLE = Path(__file__).with_name("ci_example")
TEMPLATE = Path(__file__).parents[2] / "host" / "ci" / "gdws-gate.gitlab-ci.yml"


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentProcess]:
    with running_agent(tmp_path_factory.mktemp("device") / "data", BriefWorker()) as agent:
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
    path = repository / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
    git(repository, "switch", "--quiet", "--create", "change")
    git(repository, "commit", "--quiet", "--all", "--message=Change the network")


def run_pipeline(repository: Path, url: str) -> tuple[int, dict[str, Any], str]:
    """Run the job ``gate`` as a GitLab runner does: its script with the template's, in one shell.

    Returns its exit code, gate.json, and what it said.
    """
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
    command = ["bash", "-eo", "pipefail", "-c", script]
    ended = subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True)
    report = repository / "gdws-gate" / "gate.json"
    return ended.returncode, json.loads(report.read_text()) if report.exists() else {}, ended.stdout + ended.stderr


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
