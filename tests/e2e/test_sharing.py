"""A device that several people share, from the command line, on a real agent whose workers measure nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import Result

from support.agent_process import AgentProcess, running_agent
from support.agents import FakeWorker
from support.bundles import tiny_bundle
from support.command import gdws as run

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny.gdws", net="linear")


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentProcess]:
    folder = tmp_path_factory.mktemp("agent")
    with running_agent(folder / "data", FakeWorker(folder / "worker")) as agent:
        yield agent


def gdws(device: AgentProcess, *arguments: object, lease: str = "") -> Result:
    return run(*arguments, GDWS_DEVICE=device.url, GDWS_LEASE=lease)


def test_a_device_is_taken_used_shown_and_released(device: AgentProcess, bundle: Path, tmp_path: Path) -> None:
    lease = gdws(device, "lease", "take", "--holder", "ada", "--note", "heat").stdout.strip()
    shown = gdws(device, "lease", "show")
    second = gdws(device, "lease", "take", "--holder", "bob")
    own = gdws(device, "bench", bundle, "--device", device.url, "--out", tmp_path / "r.json", "--quiet", lease=lease)
    renewed = gdws(device, "lease", "renew", lease=lease)
    released = gdws(device, "lease", "release", lease=lease)

    assert "ada (heat) since" in shown.stdout
    assert lease not in shown.output
    assert (second.exit_code, "ada holds the device" in second.stderr) == (3, True)
    assert own.exit_code == 0, own.output
    assert json.loads((tmp_path / "r.json").read_text())["job"]["lease_holder"] == "ada"
    assert (renewed.exit_code, released.exit_code) == (0, 0)
    assert gdws(device, "lease", "show").stdout == "the device is free\n"


@pytest.mark.parametrize("command", ["renew", "release"])
def test_without_a_lease_one_is_told_how_to_give_it(device: AgentProcess, command: str) -> None:
    found = gdws(device, "lease", command)
    assert (found.exit_code, "GDWS_LEASE" in found.stderr) == (2, True)


def test_a_command_runs_under_a_lease_that_ends_with_it(device: AgentProcess) -> None:
    script = "import os, sys; print(os.environ['GDWS_LEASE'], os.environ['GDWS_DEVICE']); sys.exit(7)"
    found = gdws(device, "lease", "run", "--", sys.executable, "-c", script)

    assert found.exit_code == 7
    assert gdws(device, "lease", "show").stdout == "the device is free\n"


def test_a_command_that_is_not_there_leaves_no_lease(device: AgentProcess) -> None:
    found = gdws(device, "lease", "run", "--", "/nonexistent/command")
    assert (found.exit_code, "check the command" in found.stderr) == (2, True)
    assert gdws(device, "lease", "show").stdout == "the device is free\n"


def test_a_lease_can_be_taken_away(device: AgentProcess) -> None:
    gdws(device, "lease", "take")
    assert gdws(device, "lease", "release", "--force").exit_code == 0
    assert gdws(device, "lease", "show").stdout == "the device is free\n"


def test_jobs_are_listed_with_their_place_and_cancelled(device: AgentProcess, bundle: Path) -> None:
    lease = gdws(device, "lease", "take", "--holder", "ada").stdout.strip()
    model = device.client.post("/models", content=bundle.read_bytes()).json()["id"]
    ids = [
        device.client.post(
            "/benchmark", json={"model_id": model, "priority": priority, "label": f"p{priority}"}
        ).json()["id"]
        for priority in (0, 5)
    ]
    listed = gdws(device, "jobs", "list")
    as_json = json.loads(gdws(device, "jobs", "list", "--json").stdout)
    cancelled = [gdws(device, "jobs", "cancel", job_id) for job_id in ids]
    gdws(device, "lease", "release", lease=lease)

    assert listed.exit_code == 0, listed.output
    assert "ada holds the device" in listed.stderr
    assert listed.stdout.index(ids[1]) < listed.stdout.index(ids[0])
    assert "when the device is free" in listed.stdout
    assert [job["id"] for job in as_json["queued"]] == ids[::-1]
    assert all("is cancelled" in found.stderr for found in cancelled)
    assert ids[0] in gdws(device, "jobs", "list").stdout


def test_an_unknown_job_is_named(device: AgentProcess) -> None:
    found = gdws(device, "jobs", "cancel", "nope")
    assert (found.exit_code, "'nope'" in found.stderr) == (3, True)


def test_limits_and_priority_reach_the_device(device: AgentProcess, bundle: Path, tmp_path: Path) -> None:
    options = ["--priority", "3", "--time-limit", "60", "--memory-limit", "500"]
    found = gdws(device, "bench", bundle, "--device", device.url, "--out", tmp_path / "r.json", "--quiet", *options)
    request = json.loads((tmp_path / "r.json").read_text())["job"]["request"]

    assert found.exit_code == 0, found.output
    assert (request["priority"], request["limits"]) == (3, {"time_s": 60.0, "memory_mib": 500})
    refused = gdws(device, "bench", bundle, "--device", device.url, "--out", tmp_path / "r.json", "--time-limit", "1e6")
    assert (refused.exit_code, "--max-job-time-s" in refused.stderr) == (3, True)
