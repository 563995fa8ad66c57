"""The power sensors of the agent on the simulated Jetson, whose power over time is known exactly."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path

import pytest

from gdws_agent.power.base import Account, SensorFailed, Window
from gdws_agent.power.ina3221 import Ina3221Sensor
from gdws_agent.power.jtop import JtopSensor
from gdws_contract.rest import Availability
from support.simulated_jetson import SimulatedJetson, jtop_python, simulated_jetson

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("jtop") is None, reason="jetson-stats is not installed: run with the Python of .venv-jtop"
)

INFERENCES = 1_000
#: Their steps are long against the half second between two readings of jtop.
TRACES = {
    "constant": "constant:level_w=15",
    "square": "square:low_w=10,high_w=20,period_s=8",
    "ramp": "ramp:low_w=5,high_w=25,period_s=40",
}


@pytest.fixture(autouse=True)
def can_simulate() -> None:
    jtop_python()


@pytest.mark.parametrize("trace", TRACES.values(), ids=list(TRACES))
def test_energy_and_mean_power_are_those_of_the_trace(tmp_path: Path, trace: str) -> None:
    with simulated_jetson(tmp_path, trace) as jetson:
        sensors: list[JtopSensor | Ina3221Sensor] = [JtopSensor(jetson.socket), Ina3221Sensor(jetson.root)]
        for sensor in sensors:
            sensor.start()
        window = hold(16.0)
        accounts = [sensor.stop().account([window], inferences=INFERENCES, batch_size=1) for sensor in sensors]
    for account in accounts:
        expect_truth(account, jetson, window)
        rails_w = {rail.name: rail.mean_w for rail in account.power.rails}
        truth_w = {name: jetson.mean_power_w(window.start_s, window.end_s, f"{name}_mw") for name in rails_w}
        assert set(rails_w) == {"GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"}
        assert rails_w == pytest.approx(truth_w, rel=0.02)


def test_a_service_that_crashes_and_restarts_costs_its_silence_alone(tmp_path: Path) -> None:
    with simulated_jetson(tmp_path, TRACES["constant"]) as jetson:
        sensor = JtopSensor(jetson.socket)
        sensor.start()
        start_s = time.monotonic()
        hold(5.0)
        jetson.kill()
        jetson.start()
        end_s = hold(15.0).end_s
        account = sensor.stop().account([Window(start_s, end_s)], inferences=INFERENCES, batch_size=1)
        assert account.power.mean_w == pytest.approx(jetson.mean_power_w(end_s - 5.0, end_s), rel=0.01)
        assert any(flag.code.startswith("power-sensor-") for flag in account.flags)


def test_a_service_of_another_version_is_told_apart(tmp_path: Path) -> None:
    with simulated_jetson(tmp_path, "constant", "--claim-version", "4.2.9") as jetson:
        availability = JtopSensor(jetson.socket).probe()
    assert "4.2.9" in reason(availability)
    assert 'pip install "jetson-stats==4.2.9"' in reason(availability)


def test_a_service_that_is_gone_is_missed(tmp_path: Path) -> None:
    with simulated_jetson(tmp_path) as jetson:
        sensor = JtopSensor(jetson.socket)
        assert sensor.probe().available
        jetson.kill()
        assert "no jtop service listens" in reason(sensor.probe())
        jetson.socket.unlink()
        assert "does not exist" in reason(sensor.probe())
        assert "systemctl restart jtop" in reason(sensor.probe())
    with pytest.raises(SensorFailed):
        sensor.start()


def test_the_simulation_is_told(tmp_path: Path) -> None:
    with simulated_jetson(tmp_path) as jetson:
        assert JtopSensor(jetson.socket).probe().detail["simulated"] == "true"


def hold(duration_s: float) -> Window:
    """Let the trace play for ``duration_s`` and return when that was."""
    start_s = time.monotonic()
    time.sleep(duration_s)
    return Window(start_s, time.monotonic())


def expect_truth(account: Account, jetson: SimulatedJetson, window: Window) -> None:
    power = account.power
    assert power.mean_w == pytest.approx(jetson.mean_power_w(window.start_s, window.end_s), rel=0.01)
    energy_mj = 1e3 * jetson.energy_j(window.start_s, window.end_s) / INFERENCES
    assert power.energy_per_inference_mj == pytest.approx(energy_mj, rel=0.02)
    assert power.energy_interval is not None
    # The simulated monitor answers at once, where the sensor allows for a conversion.
    slack_mj = 2e-3 * energy_mj
    assert power.energy_interval.low - slack_mj <= energy_mj <= power.energy_interval.high + slack_mj


def reason(availability: Availability) -> str:
    """Return why the sensor cannot be used."""
    assert not availability.available
    assert availability.reason is not None
    return availability.reason
