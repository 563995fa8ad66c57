"""`gdws optimize` for energy: a real agent, its worker and ONNX Runtime, and a real jtop service with a trace of load.

The search itself runs under the Python of `.venv`, which has torch.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.agent_process import AgentProcess
from support.agents import eventually
from support.simulated_jetson import PROJECT, SimulatedJetson, brisk_agent, one_release_is_enough, simulated_jetson

pytest.importorskip("jtop", reason="jetson-stats is not installed here: make test-jtop")
pytest.importorskip("onnxruntime")
pytestmark = [one_release_is_enough, pytest.mark.long, pytest.mark.timeout(900)]

HOST = PROJECT / ".venv" / "bin" / "python"
SCRIPT = PROJECT / "tests" / "support" / "optimise_board.py"
if not HOST.exists():
    pytest.skip("the host's environment is not there: make test-main", allow_module_level=True)

MODES = ["MAXN", "MODE_15W"]
LEAST_ENERGY = {"kind": "least_energy", "value": 2_000.0, "modes": MODES}


@pytest.fixture
def jetson(tmp_path: Path) -> Iterator[SimulatedJetson]:
    with simulated_jetson(tmp_path, "load:idle_w=1,busy_w=60") as jetson:
        yield jetson


@pytest.fixture
def agent(tmp_path: Path, jetson: SimulatedJetson) -> Iterator[AgentProcess]:
    with brisk_agent(tmp_path / "data", jetson) as agent:
        yield agent


def begin(agent: AgentProcess, folder: Path, goal: dict[str, Any]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [str(HOST), str(SCRIPT), agent.url, str(folder), json.dumps(goal)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def optimise(agent: AgentProcess, folder: Path, **goal: Any) -> dict[str, Any]:
    process = begin(agent, folder, goal)
    out, messages = process.communicate(timeout=600)
    assert process.returncode == 0, messages
    found: dict[str, Any] = json.loads(out)
    return found


def mode(jetson: SimulatedJetson) -> int:
    return int((jetson.root / "simulated/nvpmodel").read_text().split()[-1])


def test_the_least_energy_within_a_deadline_and_a_bound_on_energy(
    tmp_path: Path, jetson: SimulatedJetson, agent: AgentProcess
) -> None:
    process = begin(agent, tmp_path, {**LEAST_ENERGY, "modes": MODES[1:]})
    while mode(jetson) != 2:
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode != 0
    eventually(lambda: mode(jetson) == 0)

    found = optimise(agent, tmp_path, **LEAST_ENERGY)
    assert found["status"] == "delivered", found["reason"]
    energy = found["energy"]
    assert energy["states"] == [f"power mode {name}" for name in MODES]
    [chosen] = [point for point in energy["points"] if point["chosen"]]
    assert chosen["state"] == "power mode MODE_15W"
    assert chosen["tail_ms"] <= 2_000.0
    dense = {point["state"]: point for point in energy["points"] if point["network"] == "dense"}
    assert chosen["energy_mj"] < dense["power mode MODE_15W"]["energy_mj"]
    assert dense["power mode MODE_15W"]["energy_mj"] < dense["power mode MAXN"]["energy_mj"]
    assert mode(jetson) == 0

    # A goal out of reach tells what dense takes, of what is measured already. The bound leaves room for a busy machine.
    reach = optimise(agent, tmp_path, kind="max_energy_mj", value=1e-6, mode="MAXN")
    assert reach["status"] == "declined"
    bound_mj = 0.9 * reach["dense"]
    bounded = optimise(agent, tmp_path, kind="max_energy_mj", value=bound_mj, mode="MAXN")
    assert bounded["status"] == "delivered", bounded["reason"]
    [best] = [network for network in bounded["networks"] if network["delivered"]]
    assert best["cost"] <= bound_mj
    assert mode(jetson) == 0
