"""The gate from the command line, on real agents whose workers make up the times."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from typer.testing import Result

from gdws.device.client import DeviceClient
from support.agent_process import AgentProcess, running_agent
from support.agents import PATIENCE_S, FakeWorker
from support.bundles import tiny_bundle
from support.command import gdws as run

pytestmark = pytest.mark.timeout(240)

SAME = {"candidate.dense": 2.0, "baseline.dense": 2.0}
SLOWER = {"candidate.dense": 2.2, "baseline.dense": 2.0}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return tiny_bundle(tmp_path / "tiny.gdws", variants=("dense",))


@contextlib.contextmanager
def agent(folder: Path, medians_ms: dict[str, float], actions: dict[str, str] | None = None) -> Iterator[AgentProcess]:
    worker = FakeWorker(folder / "worker", actions, medians_ms=medians_ms)
    with running_agent(folder / "data", worker) as running:
        yield running


def gdws(folder: Path, *arguments: object) -> Result:
    environment = {"GDWS_DATA_DIR": str(folder / "user"), "GITHUB_ACTIONS": "", "GITHUB_STEP_SUMMARY": ""}
    return run(*arguments, **environment)


def gate(folder: Path, bundle: Path, device: AgentProcess, *arguments: object) -> tuple[Result, Any]:
    """Run the gate against the bundle itself; what it printed, and its gate.json."""
    out = folder / "out"
    found = gdws(folder, "gate", bundle, "--device", device.url, "--baseline", bundle, "--out", out, *arguments)
    path = out / "gate.json"
    return found, json.loads(path.read_text()) if path.exists() else None


def test_what_did_not_change_passes(tmp_path: Path, bundle: Path) -> None:
    with agent(tmp_path, SAME) as device:
        found, report = gate(tmp_path, bundle, device, "--max-slowdown", 3)
        with DeviceClient(device.url) as client:
            assert client.lease() is None
            assert client.models() == []
    assert found.exit_code == 0, found.output
    assert found.stdout.endswith("PASS\n")
    assert "run 6; 1 run until the next evaluation" in found.stderr
    assert [verdict["limit"] for verdict in report["devices"][0]["verdicts"]] == ["max_slowdown_percent", "parity"]
    assert len(list((tmp_path / "out").glob("*/run-*.json"))) == 6


def test_what_is_slower_fails_after_a_rerun(tmp_path: Path, bundle: Path) -> None:
    with agent(tmp_path, SLOWER) as device:
        found, report = gate(tmp_path, bundle, device, "--max-slowdown", 3)
    assert found.exit_code == 1, found.output
    assert "10.0 % above the baseline's" in found.stdout
    assert "confirmed by 6 further runs" in found.stdout
    assert report["devices"][0]["finished_runs"] == 12
    root = ElementTree.parse(tmp_path / "out" / "junit.xml").getroot()
    assert len(root.findall(".//failure")) == 1


def test_a_network_that_cannot_be_built_fails_and_is_not_timed_further(tmp_path: Path, bundle: Path) -> None:
    with agent(tmp_path, SAME, {"candidate.dense": "fail"}) as device:
        found, report = gate(tmp_path, bundle, device, "--max-slowdown", 3)
    assert found.exit_code == 1, found.output
    assert "it cannot be measured (no): FAIL" in found.stdout
    assert report["devices"][0]["finished_runs"] == 2


def test_noise_makes_the_next_gate_shorter(tmp_path: Path, bundle: Path) -> None:
    with agent(tmp_path, SAME) as device:
        measured = gdws(tmp_path, "noise", bundle, "--device", device.url, "--runs", 4)
        found, report = gate(tmp_path, bundle, device, "--max-slowdown", 3)
        longer, its_report = gate(tmp_path, bundle, device, "--max-slowdown", 3, "--rounds", 4)
    assert measured.exit_code == 0, measured.output
    assert "spread from run to run" in measured.stdout
    assert len(list((tmp_path / "user").glob("noise/*/onnxruntime.json"))) == 1
    assert (found.exit_code, report["devices"][0]["finished_runs"]) == (0, 4)
    assert report["devices"][0]["notes"] == []
    assert (longer.exit_code, its_report["devices"][0]["finished_runs"]) == (0, 6)
    assert "protocol: rounds: 10, then 4" in its_report["devices"][0]["notes"][0]


def test_a_baseline_file_counts_where_it_was_measured(tmp_path: Path, bundle: Path) -> None:
    kept = tmp_path / "baseline.json"
    arguments = ["--baseline", kept, "--max-slowdown", 3, "--out", tmp_path / "out"]
    with agent(tmp_path, {"candidate.dense": 2.0}) as device:
        assert gdws(tmp_path, "baseline", bundle, "--device", device.url, "--runs", 3, "--out", kept).exit_code == 0
        here = gdws(tmp_path, "gate", bundle, "--device", device.url, *arguments)
        document = json.loads(kept.read_text())
        document["circumstances"]["onnxruntime"]["L4T"] = "35.4.1"
        kept.write_text(json.dumps(document))
        elsewhere = gdws(tmp_path, "gate", bundle, "--device", device.url, *arguments)
    assert (here.exit_code, "0.0 % above the baseline's" in here.stdout) == (0, True)
    assert elsewhere.exit_code == 2
    assert "measured under other conditions (L4T: 35.4.1, then not known): INCONCLUSIVE" in elsewhere.stdout


def test_several_devices_have_a_verdict_each_and_one_over_all(tmp_path: Path, bundle: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with agent(tmp_path / "a", SAME) as quick, agent(tmp_path / "b", SLOWER) as slow:
        devices = tmp_path / "devices.toml"
        devices.write_text(
            f'[devices.quick]\nurl = "{quick.url}"\ntags = ["rack"]\n'
            f'[devices.slow]\nurl = "{slow.url}"\ntags = ["rack"]\n'
        )
        out = tmp_path / "out"
        options = ["--devices", devices, "--baseline", bundle, "--max-slowdown", 3, "--out", out]
        found = gdws(tmp_path, "gate", bundle, "--device", "tag:rack", *options)
    report = json.loads((out / "gate.json").read_text())
    assert found.exit_code == 1
    assert {each["device"]: each["outcome"] for each in report["devices"]} == {"quick": "PASS", "slow": "FAIL"}
    assert (out / "quick" / "run-1.json").exists()
    assert "quick: run 1" in found.stderr


def test_an_agent_that_dies_is_no_fail(tmp_path: Path, bundle: Path) -> None:
    worker = FakeWorker(tmp_path / "worker", {"candidate.dense": "hang"}, medians_ms=SAME)
    with running_agent(tmp_path / "data", worker) as device:
        asked = command(bundle, device, tmp_path, "--patience", "0")
        worker.wait_until_reached()
        device.process.kill()
        _, told = asked.communicate(timeout=PATIENCE_S)
    assert asked.returncode == 3, told
    report = json.loads((tmp_path / "out" / "gate.json").read_text())
    assert (report["outcome"], report["devices"][0]["outcome"]) == (None, None)
    assert "lost the agent" in report["devices"][0]["error"]
    assert 'errors="1"' in (tmp_path / "out" / "junit.xml").read_text()


def test_the_end_of_a_pipeline_ends_the_job_and_keeps_what_was_measured(tmp_path: Path, bundle: Path) -> None:
    worker = FakeWorker(tmp_path / "worker", {"candidate.dense": "hang"}, medians_ms=SAME)
    with running_agent(tmp_path / "data", worker) as device, DeviceClient(device.url) as client:
        asked = command(bundle, device, tmp_path)
        worker.wait_until_reached()
        asked.send_signal(signal.SIGTERM)
        _, told = asked.communicate(timeout=PATIENCE_S)
        (job,) = client.jobs()
        assert client.lease() is None
    assert (asked.returncode, job.state) == (130, "cancelled"), told
    report = json.loads((tmp_path / "out" / "gate.json").read_text())
    assert "stopped during run 1" in report["devices"][0]["error"]
    (kept,) = (tmp_path / "out").glob("*/run-1.json")
    assert json.loads(kept.read_text())["partial"] is True


def test_a_device_that_somebody_holds_is_waited_for_so_long(tmp_path: Path, bundle: Path) -> None:
    with agent(tmp_path, SAME) as device, DeviceClient(device.url) as client:
        client.take_lease("ada", 600)
        found, report = gate(tmp_path, bundle, device, "--max-slowdown", 3, "--wait", 0)
    assert found.exit_code == 3
    assert "ada holds the device" in report["devices"][0]["error"]


def test_an_own_lease_is_used_and_kept(tmp_path: Path, bundle: Path) -> None:
    with agent(tmp_path, SAME) as device, DeviceClient(device.url) as client:
        lease = client.take_lease("runner", 600)
        found, _ = gate(tmp_path, bundle, device, "--lease", lease.id)
        held = client.lease()
    assert found.exit_code == 0, found.output
    assert held is not None
    assert held.holder == "runner"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--variants", "other"], "has no network 'other'"),
        (["--config", "absent.toml"], "absent.toml"),
        (["--device", "nobody"], "there is no device 'nobody'"),
    ],
)
def test_bad_input_is_exit_2(tmp_path: Path, bundle: Path, arguments: list[str], words: str) -> None:
    found = gdws(tmp_path, "gate", bundle, "--device", "http://127.0.0.1:9", "--out", tmp_path / "out", *arguments)
    assert (found.exit_code, words in found.stderr) == (2, True), found.output


def test_a_limit_against_a_baseline_needs_one(tmp_path: Path, bundle: Path) -> None:
    found = gdws(tmp_path, "gate", bundle, "--device", "http://127.0.0.1:9", "--max-slowdown", 3)
    assert (found.exit_code, "needs a baseline" in found.stderr) == (2, True)


def test_github_gets_annotations_and_a_summary(tmp_path: Path, bundle: Path) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    environment = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary), "GDWS_DATA_DIR": str(tmp_path)}
    with agent(tmp_path, SAME, {"candidate.dense": "fail"}) as device:
        arguments = ["gate", bundle, "--device", device.url, "--out", tmp_path / "out"]
        found = run(*arguments, **environment)
    assert found.exit_code == 1
    assert "::error title=gdws gate%3A engine on " in found.stdout
    assert summary.read_text().startswith("before\n## gdws gate: FAIL\n")


@pytest.mark.parametrize(("medians_ms", "code"), [(SAME, 0), (SLOWER, 1)])
def test_nothing_that_cannot_be_written_changes_the_code(
    tmp_path: Path, bundle: Path, medians_ms: dict[str, float], code: int
) -> None:
    (tmp_path / "out").write_text("a file where the folder should be")
    environment = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": "/gone/summary", "GDWS_DATA_DIR": str(tmp_path)}
    with agent(tmp_path, medians_ms) as device:
        options = ["--device", device.url, "--baseline", bundle, "--max-slowdown", 3, "--out", tmp_path / "out", "-q"]
        found = run("gate", bundle, *options, **environment)
    assert found.exit_code == code, found.output
    assert "run 1 could not be stored: " in found.stderr
    assert "gate.json could not be written" in found.stderr
    assert "warning: /gone/summary could not be written" in found.stderr


def test_a_network_that_is_gone_is_not_passed_over(tmp_path: Path, bundle: Path) -> None:
    main = tiny_bundle(tmp_path / "main.gdws", variants=("dense", "gdws"))
    options = ["--out", tmp_path / "out", "--baseline", main]
    with agent(tmp_path, SAME) as device:
        found = gdws(tmp_path, "gate", bundle, "--device", device.url, *options)
        allowed = gdws(tmp_path, "gate", bundle, "--device", device.url, *options, "--allow-missing", "gdws")
    assert found.exit_code == 2
    assert "gdws: the baseline has this network and the candidate does not: INCONCLUSIVE." in found.stdout
    assert allowed.exit_code == 0, allowed.output


def command(bundle: Path, device: AgentProcess, folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """The gate as a process of its own."""
    options = ["--device", device.url, "--baseline", str(bundle), "--out", str(folder / "out"), *arguments]
    return subprocess.Popen(
        [sys.executable, "-m", "gdws", "gate", str(bundle), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "GDWS_DATA_DIR": str(folder / "user")},
    )
