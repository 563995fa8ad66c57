"""Every curl line of README.md works when it is pasted."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from support.agent_process import running_agent
from support.bundles import tiny_bundle
from support.readme import README, TOKEN_OPTION, run_curl_lines


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("token", [None, "a-token-for-the-tests-of-README"])
def test_every_curl_line_works_in_order_on_a_fresh_agent(tmp_path: Path, token: str | None) -> None:
    bundle = tiny_bundle(tmp_path / "tiny.gdws")
    environment = {} if token is None else {"GDWS_AGENT_TOKEN": token}
    with running_agent(tmp_path / "agent-data", environment=environment) as agent:
        answers = run_curl_lines(agent.url, bundle, tmp_path, token)

    assert len(answers) >= 6
    health, device, stored, models, job, jobs = answers[:6]
    assert health["status"] == "ok"
    assert any(backend["available"] for backend in device["backends"])
    assert [model["id"] for model in models["models"]] == [stored["id"]]
    assert job["state"] == "done"
    assert all(cell["latency"]["median_ms"] > 0 for cell in job["cells"])
    assert [each["id"] for each in jobs["jobs"]] == [job["id"]]


def test_it_tells_how_to_send_a_token() -> None:
    assert TOKEN_OPTION in README.read_text()


def test_every_local_link_and_picture_exists() -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", README.read_text())
    assert targets
    missing = [target for target in targets if not (README.parent / target).exists()]
    assert not missing
