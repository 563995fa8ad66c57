"""What host/ci holds: valid by the vendors' schemas, and its steps run as the vendors run them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from gdws.device.client import DeviceClient
from support.agent_process import running_agent
from support.agents import PATIENCE_S, FakeWorker
from support.bundles import tiny_bundle

pytestmark = pytest.mark.timeout(120)

CI = Path(__file__).parents[2] / "host" / "ci"
ACTION = CI / "gate" / "action.yml"
TEMPLATE = CI / "gdws-gate.gitlab-ci.yml"
EXAMPLE = Path(__file__).with_name("ci_example") / ".gitlab-ci.yml"
SCHEMA = CI / "gdws-gate.schema.json"
PAGE = Path(__file__).parents[2] / "docs" / "ci.md"
SAME = {"candidate.dense": 2.0, "baseline.dense": 2.0}
SLOWER = {"candidate.dense": 2.2, "baseline.dense": 2.0}


@pytest.mark.parametrize(
    ("path", "arguments"),
    [
        (ACTION, ["vendor.github-actions"]),
        (TEMPLATE, ["vendor.gitlab-ci", "--data-transform", "gitlab-ci"]),
        (EXAMPLE, ["vendor.gitlab-ci", "--data-transform", "gitlab-ci"]),
    ],
)
def test_they_are_valid_by_the_vendors_schemas(path: Path, arguments: list[str]) -> None:
    pytest.importorskip("check_jsonschema")
    found = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", *arguments, str(path)], capture_output=True
    )
    assert found.returncode == 0, found.stdout


def test_workflows_on_the_page_are_valid(tmp_path: Path) -> None:
    pytest.importorskip("check_jsonschema")
    for index, text in enumerate(blocks("yaml")):
        path = tmp_path / f"{index}.yml"
        path.write_text(text)
        kind = ["vendor.github-workflows"] if "jobs:" in text else ["vendor.gitlab-ci", "--data-transform", "gitlab-ci"]
        found = subprocess.run(
            [sys.executable, "-m", "check_jsonschema", "--builtin-schema", *kind, str(path)], capture_output=True
        )
        assert found.returncode == 0, (text, found.stdout)


def blocks(language: str) -> list[str]:
    """The blocks of code of docs/ci.md in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def test_the_schema_of_settings_is_that_of_this_release() -> None:
    from gdws.gate.settings import GateSettings

    kept = json.loads(SCHEMA.read_text())
    made = GateSettings.model_json_schema()
    assert (kept["$defs"], kept["properties"]) == (made["$defs"], made["properties"]), (
        "run python tests/host/gate/write_schema.py"
    )
    jsonschema_rs.validate(kept, {"limits": {"max_slowdown_percent": 3}})
    assert not jsonschema_rs.is_valid(kept, {"limits": {"max_slowdwn_percent": 3}})


def test_settings_on_the_page_are_read(tmp_path: Path) -> None:
    from gdws.device.devices import choose_devices
    from gdws.gate.settings import GateSettings, load_settings

    gate, devices = blocks("toml")
    (tmp_path / "gate.toml").write_text(gate)
    (tmp_path / "devices.toml").write_text(devices)
    assert load_settings(tmp_path / "gate.toml") != GateSettings()
    assert len(choose_devices("tag:jetson", tmp_path / "devices.toml", {"ORIN_TOKEN": "x"})) == 2


def test_the_page_lists_every_limit_and_every_field() -> None:
    from gdws.gate.limits import Limits, Sequencing
    from gdws.gate.settings import Measurement

    page = PAGE.read_text()
    for kind in (Limits, Sequencing, Measurement):
        for name in kind.model_fields:
            assert f"`{name}`" in page, name


# The steps


def interpolate(value: Any, inputs: dict[str, str]) -> str:
    """A value of the action with its inputs in place."""
    return re.sub(r"\$\{\{ inputs\.([a-z-]+) \}\}", lambda found: inputs[found[1]], str(value))


def start_action(folder: Path, **given: str) -> subprocess.Popen[bytes]:
    """Start the action's gate as a GitHub runner starts a step."""
    action = yaml.safe_load(ACTION.read_text())
    inputs = {name: given.get(name, field.get("default", "")) for name, field in action["inputs"].items()}
    step = action["runs"]["steps"][0]
    script = folder / "step.sh"
    script.write_text(step["run"])
    environment = {name: interpolate(value, inputs) for name, value in step["env"].items()}
    return start(["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)], folder, environment)


def start(command: list[str], folder: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    own = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "GITHUB_OUTPUT": str(folder / "output"),
        "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
        "GITHUB_ACTIONS": "true",
        "GDWS_DATA_DIR": str(folder / "user"),
    }
    return subprocess.Popen(
        command, cwd=folder, env={**os.environ, **own, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


@pytest.mark.parametrize(("medians_ms", "code"), [(SAME, 0), (SLOWER, 1)])
def test_the_action_judges(tmp_path: Path, medians_ms: dict[str, float], code: int) -> None:
    bundle = tiny_bundle(tmp_path / "a model.gdws", variants=("dense",))
    with running_agent(tmp_path / "data", FakeWorker(tmp_path / "worker", medians_ms=medians_ms)) as device:
        options = "--max-slowdown 3 --max-runs 6"
        step = start_action(tmp_path, bundle=str(bundle), baseline=str(bundle), device=device.url, options=options)
        told, _ = step.communicate(timeout=PATIENCE_S)
    assert step.returncode == code, told
    assert (tmp_path / "output").read_text() == f"exit-code={code}\n"
    assert (tmp_path / "gdws-gate" / "junit.xml").exists()
    assert "## gdws gate: " in (tmp_path / "summary.md").read_text()
    assert (b"::error" in told) is (code == 1)


def test_a_cancelled_action_ends_the_job_on_the_device(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "model.gdws", variants=("dense",))
    worker = FakeWorker(tmp_path / "worker", {"candidate.dense": "hang"})
    with running_agent(tmp_path / "data", worker) as device, DeviceClient(device.url) as client:
        step = start_action(tmp_path, bundle=str(bundle), device=device.url)
        worker.wait_until_reached()
        step.send_signal(signal.SIGINT)
        told, _ = step.communicate(timeout=PATIENCE_S)
        (job,) = client.jobs()
    assert (step.returncode, job.state) == (130, "cancelled"), told
    assert (tmp_path / "output").read_text() == "exit-code=130\n"
    assert (tmp_path / "gdws-gate" / "gate.json").exists()


def test_the_gitlab_job_judges(tmp_path: Path) -> None:
    job = yaml.safe_load(TEMPLATE.read_text())[".gdws-gate"]
    bundle = tiny_bundle(tmp_path / "model.gdws", variants=("dense",))
    given = {"GATE_BASELINE": str(bundle), "GATE_OPTIONS": "--max-slowdown 3 --max-runs 6"}
    with running_agent(tmp_path / "data", FakeWorker(tmp_path / "worker", medians_ms=SLOWER)) as device:
        variables = {**job["variables"], **given, "GDWS_DEVICE": device.url}
        step = start(["bash", "-eo", "pipefail", "-c", "\n".join(job["script"])], tmp_path, variables)
        told, _ = step.communicate(timeout=PATIENCE_S)
    assert step.returncode == 1, told
    reported = job["artifacts"]["reports"]["junit"]
    assert (tmp_path / reported).exists()
    assert reported.startswith(job["artifacts"]["paths"][0])
