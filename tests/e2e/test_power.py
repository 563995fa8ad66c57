"""Jobs with power: a real agent, its worker and ONNX Runtime beside a real jtop service on the simulated Jetson."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from support.agent_process import AgentProcess, running_agent
from support.agents import eventually
from support.bundles import tiny_bundle
from support.simulated_jetson import SimulatedJetson, simulated_jetson

pytest.importorskip("jtop", reason="jetson-stats is not installed here: make test-jtop")
pytest.importorskip("onnxruntime")

LEVEL_W = 20.0
TRACE = f"constant:level_w={LEVEL_W}"
#: Twenty readings of jtop for each of two variants, and time enough to lose a service and find it again.
LONG = {"min_duration_ms": 12_000, "rounds": 4, "warmup_ms": 50}
QUICK = {"min_duration_ms": 500, "rounds": 2, "warmup_ms": 50}


@contextlib.contextmanager
def agent_beside(jetson: SimulatedJetson, folder: Path) -> Iterator[AgentProcess]:
    """An agent that looks for jtop's service at the simulated Jetson's socket."""
    environment = {"GDWS_AGENT_JTOP_SOCKET": str(jetson.socket)}
    with running_agent(folder / "agent-data", environment=environment) as agent:
        yield agent


def begin(agent: AgentProcess, folder: Path, protocol: Mapping[str, float], **request: Any) -> str:
    """Ask for a measurement of two variants and return the id of the job."""
    bundle = tiny_bundle(folder / "tiny.gdws")
    answer = agent.client.post(
        "/benchmark",
        files={"bundle": bundle.read_bytes()},
        data={"request": json.dumps({"protocol": protocol, **request})},
    )
    assert answer.is_success, answer.text
    job_id: str = answer.json()["id"]
    return job_id


def measured_cells(agent: AgentProcess, job_id: str) -> list[dict[str, Any]]:
    """Return the cells of the job once it has ended; each has its times, whatever became of the sensor."""
    job = agent.get(f"/benchmark/{job_id}?wait=240", timeout=250)
    assert job["state"] == "done", job
    assert [cell["state"] for cell in job["cells"]] == ["done", "done"]
    assert all(cell["latency"]["count"] > 0 for cell in job["cells"])
    cells: list[dict[str, Any]] = job["cells"]
    return cells


def board_state(jetson: SimulatedJetson) -> tuple[int, bool]:
    """Return the power mode of the board and whether its clocks are fixed, by its files."""
    cpu = jetson.root / "devices/system/cpu/cpu0/cpufreq"
    fixed = (cpu / "scaling_min_freq").read_text() == (cpu / "scaling_max_freq").read_text()
    return int((jetson.root / "simulated/nvpmodel").read_text().split()[-1]), fixed


def until_measuring(agent: AgentProcess, job_id: str) -> None:
    eventually(lambda: agent.get(f"/benchmark/{job_id}")["progress"]["stage"] == "measure")


def expect_power(cell: Mapping[str, Any]) -> None:
    power = cell["power"]
    assert power["reason"] is None, power
    assert power["mean_w"] == pytest.approx(LEVEL_W, rel=0.01)
    assert power["samples"] >= 10
    seconds = cell["latency"]["count"] * cell["latency"]["mean_ms"] / 1e3
    energy_j = cell["latency"]["count"] * power["energy_per_inference_mj"] / 1e3
    # The windows hold the inferences and little else.
    assert energy_j == pytest.approx(LEVEL_W * seconds, rel=0.15)


@pytest.mark.parametrize("protocol", [{}, LONG], ids=["default", "long"])
def test_power_of_a_job_is_that_of_the_trace_and_bears_that_it_was_simulated(
    tmp_path: Path, protocol: Mapping[str, float]
) -> None:
    with simulated_jetson(tmp_path, TRACE) as jetson, agent_beside(jetson, tmp_path) as agent:
        assert agent.get("/device")["simulated"] is True
        for cell in measured_cells(agent, begin(agent, tmp_path, protocol)):
            expect_power(cell)
            assert cell["simulated"] is True


def test_a_service_that_crashes_and_restarts_in_mid_job(tmp_path: Path) -> None:
    with simulated_jetson(tmp_path, TRACE) as jetson, agent_beside(jetson, tmp_path) as agent:
        job_id = begin(agent, tmp_path, LONG)
        until_measuring(agent, job_id)
        time.sleep(4.0)
        jetson.kill()
        time.sleep(2.0)
        jetson.start()
        cells = measured_cells(agent, job_id)
    for cell in cells:
        expect_power(cell)
        assert {"power-sensor-silent", "power-sensor-trouble"} & {flag["code"] for flag in cell["flags"]}


def test_a_service_that_is_gone_in_mid_job_costs_the_power_alone(tmp_path: Path) -> None:
    with simulated_jetson(tmp_path, TRACE) as jetson, agent_beside(jetson, tmp_path) as agent:
        job_id = begin(agent, tmp_path, LONG)
        until_measuring(agent, job_id)
        jetson.kill()
        cells = measured_cells(agent, job_id)
    for cell in cells:
        assert cell["power"]["mean_w"] is None
        assert "jtop" in cell["power"]["reason"]


@pytest.mark.parametrize("fault", ["another version", "no socket"])
def test_without_a_sensor_that_serves_a_job_has_times_and_the_device_says_why(tmp_path: Path, fault: str) -> None:
    claimed = ("--claim-version", "9.1.4") if fault == "another version" else ()
    with simulated_jetson(tmp_path, TRACE, *claimed) as jetson:
        if fault == "no socket":
            jetson.stop()
        with agent_beside(jetson, tmp_path) as agent:
            sensors = {sensor["name"]: sensor for sensor in agent.get("/device")["power_sensors"]}
            cells = measured_cells(agent, begin(agent, tmp_path, QUICK))
    assert not sensors["jtop"]["available"]
    told = "9.1.4" if fault == "another version" else "does not exist"
    assert told in sensors["jtop"]["reason"]
    for cell in cells:
        assert cell["power"]["mean_w"] is None
        assert cell["power"]["reason"]


def test_power_modes_and_clocks_hold_for_their_cells_and_are_given_back(tmp_path: Path) -> None:
    with simulated_jetson(tmp_path, TRACE) as jetson, agent_beside(jetson, tmp_path) as agent:
        before = board_state(jetson)
        modes = ["MODE_30W_ALL", "MODE_10W", 2]
        job_id = begin(agent, tmp_path, QUICK, power_modes=modes, jetson_clocks=True)
        job = agent.get(f"/benchmark/{job_id}?wait=240", timeout=250)
        after = board_state(jetson)
    assert (job["state"], len(job["cells"])) == ("done", 6), job
    for cell in job["cells"]:
        if cell["key"]["power_mode"] == "MODE_10W":
            assert cell["state"] == "failed"
            assert cell["error"]["type"].endswith("power-mode-needs-reboot")
        else:
            named = {"MODE_30W_ALL": "MODE_30W_ALL", 2: "MODE_15W"}[cell["key"]["power_mode"]]
            assert (cell["state"], cell["power_mode"], cell["jetson_clocks"]) == ("done", named, True)
    assert after == before == (0, False)


def test_a_cancelled_job_gives_the_board_back(tmp_path: Path) -> None:
    with simulated_jetson(tmp_path, TRACE) as jetson, agent_beside(jetson, tmp_path) as agent:
        job_id = begin(agent, tmp_path, LONG, power_modes=["MODE_15W"], jetson_clocks=True)
        until_measuring(agent, job_id)
        assert board_state(jetson) == (2, True)
        agent.client.delete(f"/benchmark/{job_id}").raise_for_status()
        job = agent.get(f"/benchmark/{job_id}?wait=60", timeout=70)
        assert job["state"] == "cancelled"
        eventually(lambda: board_state(jetson) == (0, False))


def test_the_next_start_gives_the_board_back_after_a_crash(tmp_path: Path) -> None:
    with simulated_jetson(tmp_path, TRACE) as jetson:
        with agent_beside(jetson, tmp_path) as agent:
            job_id = begin(agent, tmp_path, LONG, power_modes=["MODE_15W"])
            until_measuring(agent, job_id)
            agent.close()
        assert board_state(jetson) == (2, False)
        with agent_beside(jetson, tmp_path) as agent:
            agent.client.delete(f"/benchmark/{job_id}").raise_for_status()
            eventually(lambda: board_state(jetson) == (0, False))
