"""What every power sensor must do. A new one is held to this by being in the registry."""

import time

import pytest

from gdws_agent.power import registry
from gdws_agent.power.base import Account, SensorFailed, Window
from gdws_agent.power.ina3221 import Ina3221Sensor
from gdws_agent.power.jtop import JtopSensor
from gdws_contract.measures import Power
from gdws_contract.rest import Availability
from support.simulated_jetson import simulated_jetson
from support.sysfs import put_ina3221

FIGURES = ("mean_w", "peak_w", "energy_per_inference_mj", "net_energy_per_inference_mj", "fps_per_watt")


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """A simulated Jetson; skips where jetson-stats is missing."""
    pytest.importorskip("jtop", reason="jetson-stats is not installed here: pip install jetson-stats")
    with simulated_jetson(tmp_path_factory.mktemp("jetson")) as jetson:
        yield jetson


@pytest.fixture(params=[*registry.SENSORS, "ina3221 on files", "jtop on a simulated Jetson"])
def any_sensor(request, tmp_path):
    """Every sensor as it is on this machine, and those of the Jetson on simulated ones."""
    if request.param == "ina3221 on files":
        put_ina3221(tmp_path, "1-0040", {"GPU": (19_000, 100), "CPU": (19_000, 200), "SOC": (19_000, 50)})
        return Ina3221Sensor(tmp_path)
    if request.param == "jtop on a simulated Jetson":
        return JtopSensor(request.getfixturevalue("simulated").socket)
    return registry.get(request.param)


@pytest.fixture
def sensor(any_sensor):
    """Every sensor that can be read here."""
    availability = any_sensor.probe()
    if not availability.available:
        pytest.skip(f"{any_sensor.name}: {availability.reason}")
    return any_sensor


def account_of_now(sensor):
    """Start and stop at once: a window too short for any figure."""
    sensor.start()
    start_s = time.monotonic()
    window = Window(start_s, time.monotonic())
    return sensor.stop().account([window], inferences=1, batch_size=1)


def test_it_says_what_it_is(any_sensor):
    availability = any_sensor.probe()
    assert isinstance(availability, Availability)
    assert availability.name == any_sensor.name
    assert availability.available or availability.reason


def test_where_it_cannot_be_read_it_does_not_start(any_sensor):
    if any_sensor.probe().available:
        pytest.skip(f"{any_sensor.name} can be read here")
    with pytest.raises(SensorFailed, match=r".{10}"):
        any_sensor.start()


def test_without_readings_there_are_no_figures_but_a_reason(sensor):
    account = account_of_now(sensor)
    assert isinstance(account, Account)
    assert isinstance(account.power, Power)
    assert account.power.sensor == sensor.name
    assert account.power.reason
    assert [getattr(account.power, figure) for figure in FIGURES] == [None] * len(FIGURES)
    assert account.power.rails == []


def test_it_says_how_often_it_reads(sensor):
    assert sensor.interval_s is None or 0 < sensor.interval_s < 60
    assert (sensor.interval_s is None) == (sensor.name == "none")


def test_what_it_knows_besides_power_can_be_asked_for_at_any_time(sensor):
    for moment in (lambda: None, sensor.start, sensor.stop):
        moment()
        conditions = sensor.conditions()
        assert conditions is None or conditions.temperatures_c or conditions.clocks_mhz


def test_it_can_be_started_again(sensor):
    assert account_of_now(sensor).power.reason
    assert account_of_now(sensor).power.reason
