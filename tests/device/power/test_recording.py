import pytest

from gdws_agent.power.base import Account, SensorFailed, Window
from gdws_agent.power.recording import Recording
from gdws_contract.measures import Power


class Sensor:
    """Fails where it is told to, and notes what is asked of it."""

    name = "fake"

    def __init__(self, failing=None, error=None, interval_s=0.5):
        self.calls = []
        self.interval_s = interval_s
        self.idle = None
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

    def account(self, windows, *, inferences, batch_size, idle=()):
        self._call("account")
        self.idle = idle
        return Account(Power(sensor=self.name, mean_w=inferences * batch_size * len(windows)), [])


def run(sensor):
    recording = Recording(sensor)
    recording.start()
    recording.stop()
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


def test_to_start_and_stop_twice_is_to_do_it_once():
    sensor = Sensor()
    recording = Recording(sensor)
    for _ in range(2):
        recording.start()
    for _ in range(2):
        recording.stop()
    recording.start()
    assert sensor.calls == ["start", "stop"]


def test_what_the_readings_need_is_known_once_it_reads():
    recording = Recording(Sensor())
    assert recording.needed_s(10) == 0
    recording.start()
    assert recording.needed_s(10) == 10.0
    recording.stop()
    assert recording.needed_s(10) == 0


@pytest.mark.parametrize(("asked_s", "rested_s"), [(60.0, 60.0), (1.0, 7.5)])
def test_a_rest_is_the_idle_baseline_and_long_enough_for_it(asked_s, rested_s):
    sensor, slept = Sensor(), []
    recording = Recording(sensor)
    recording.start()
    recording.rest(asked_s, sleep=slept.append)
    recording.stop()
    recording.account([Window(0.0, 1.0)], inferences=1, batch_size=1)
    assert slept == [rested_s]
    assert len(sensor.idle) == 1


@pytest.mark.parametrize("sensor", [Sensor("start", SensorFailed("no")), Sensor(interval_s=None)])
def test_without_readings_there_is_no_rest(sensor):
    slept = []
    recording = Recording(sensor)
    recording.start()
    recording.rest(60.0, sleep=slept.append)
    assert slept == []
