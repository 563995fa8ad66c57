from __future__ import annotations

import pytest

from gdws_agent.power.base import Account, SensorFailed, Window
from gdws_agent.power.recording import Recording
from gdws_contract.measures import Power


class Sensor:
    """Fails where it is told to, and notes what is asked of it."""

    name = "fake"

    def __init__(self, failing=None, error=None):
        self.calls = []
        self._failing = failing
        self._error = error

    def _call(self, name):
        self.calls.append(name)
        if name == self._failing:
            raise self._error

    def start(self):
        self._call("start")

    def stop(self):
        self._call("stop")
        return self

    def account(self, windows, *, inferences, batch_size):
        self._call("account")
        return Account(Power(sensor=self.name, mean_w=inferences * batch_size * len(windows)), [])


def run(sensor):
    recording = Recording(sensor)
    with recording:
        pass
    return recording.account([Window(0.0, 1.0)], inferences=3, batch_size=2).power


def test_the_trace_accounts():
    sensor = Sensor()
    assert run(sensor).mean_w == 6.0
    assert sensor.calls == ["start", "stop", "account"]


@pytest.mark.parametrize("failing", ["start", "stop", "account"])
@pytest.mark.parametrize(
    ("error", "reason"),
    [(SensorFailed("no socket"), "no socket"), (OSError("gone"), "the sensor failed: OSError: gone")],
)
def test_a_failure_costs_the_figures_alone(failing, error, reason):
    sensor = Sensor(failing, error)
    power = run(sensor)
    assert (power.sensor, power.mean_w, power.reason) == ("fake", None, reason)


def test_what_did_not_start_is_not_stopped():
    sensor = Sensor("start", SensorFailed("no"))
    run(sensor)
    assert sensor.calls == ["start"]


def test_it_stops_when_the_measurement_fails():
    sensor = Sensor()
    with pytest.raises(RuntimeError, match="broke"), Recording(sensor):
        raise RuntimeError("broke")
    assert sensor.calls == ["start", "stop"]
