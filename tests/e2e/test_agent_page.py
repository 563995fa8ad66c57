"""The lines of docs/agent.md work when they are pasted one after the other."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import typer

from gdws.cli.app import app
from gdws_agent.settings import Settings, option_name
from support.agent_process import running_agent
from support.bundles import tiny_bundle

PAGE = Path(__file__).resolve().parents[2] / "docs" / "agent.md"
TEXT = PAGE.read_text()
ADDRESS = "http://localhost:8000"


def blocks() -> list[str]:
    """The first three blocks of commands, which the page says are run."""
    return re.findall(r"^```sh\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)[:3]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_every_line_works_in_order_in_one_shell(tmp_path: Path) -> None:
    model = tmp_path / "demo-output" / "model.gdws"
    model.parent.mkdir()
    shutil.copyfile(tiny_bundle(tmp_path / "tiny.gdws"), model)
    with running_agent(tmp_path / "agent-data") as agent:
        script = "set -euo pipefail\n" + "".join(blocks()).replace(ADDRESS, agent.url)
        script = script.replace("curl -s", "curl --fail-with-body --noproxy '*' -sS -w '\\n'")
        done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=240)
        jobs = agent.get("/jobs")["jobs"]
        attack = agent.get(f"/jobs/{jobs[1]['id']}")
        lease = agent.get("/lease")["lease"]

    assert done.returncode == 0, done.stdout + done.stderr
    assert (jobs[0]["state"], jobs[0]["lease_holder"], lease) == ("done", "ada", None)
    assert (attack["state"], attack["request"]["attack"]["queries"]) == ("done", 50)
    assert jobs[2]["request"]["priority"] == 5


def test_every_option_that_it_names_exists() -> None:
    bench = typer.main.get_command(app).commands["bench"]  # type: ignore[attr-defined]
    known = {option_name(field) for field in Settings.model_fields} | {
        each for option in bench.params for each in option.opts
    }
    named = set(re.findall(r"--(?:max|keep)-[a-z-]+", TEXT))
    assert named
    assert named <= known


def test_every_local_link_exists() -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", TEXT)
    assert targets
    assert all((PAGE.parent / target).exists() for target in targets)
