import pytest
from fastapi.testclient import TestClient

from gdws_agent.api.app import create_app
from gdws_agent.board.live import LiveBoard, read_power
from gdws_contract.live import LiveReadings
from support.agents import agent
from support.sysfs import put, put_ina3221


@pytest.fixture
def jetson(tmp_path):
    """A few of a Xavier's files."""
    sysfs = tmp_path / "sys"
    put_ina3221(sysfs, "1-0040", {"VDD_IN": (5000, 2500), "VDD_CPU_GPU_CV": (5000, 1000)})
    put(sysfs / "class/thermal/thermal_zone0/type", "GPU-therm")
    put(sysfs / "class/thermal/thermal_zone0/temp", 41_500)
    put(sysfs / "class/devfreq/17000000.gv11b/cur_freq", 1_377_000_000)
    put(sysfs / "class/devfreq/17000000.gv11b/max_freq", 1_377_000_000)
    put(sysfs / "class/thermal/cooling_device0/type", "gpu-throttle-alert")
    put(sysfs / "class/thermal/cooling_device0/cur_state", 0)
    return sysfs


def test_what_the_files_of_a_board_show(jetson):
    readings = LiveBoard(jetson).read()

    assert (readings.power.total_w, readings.power.scope) == (12.5, "module power, rail VDD_IN")
    assert {rail.name: rail.power_w for rail in readings.power.rails} == {"VDD_IN": 12.5, "VDD_CPU_GPU_CV": 5.0}
    assert [(zone.name, zone.celsius) for zone in readings.temperatures] == [("GPU-therm", 41.5)]
    assert [(clock.name, clock.mhz, clock.limit_mhz) for clock in readings.clocks] == [("GPU", 1377.0, 1377.0)]
    assert (readings.power.reason, readings.temperatures_reason, readings.clocks_reason) == (None, None, None)
    assert readings.held_back == []
    assert readings.memory_available_bytes


def test_what_is_not_shown_is_unknown_and_says_why(tmp_path):
    readings = LiveBoard(tmp_path).read()

    assert (readings.power.total_w, readings.power.rails) == (None, [])
    assert readings.power.reason is not None
    assert "no INA3221" in readings.power.reason
    assert readings.temperatures == readings.clocks == []
    assert readings.temperatures_reason
    assert readings.clocks_reason


def test_what_holds_clocks_down_is_named(jetson):
    put(jetson / "class/thermal/cooling_device0/cur_state", 2)
    assert LiveBoard(jetson).read().held_back == ["gpu-throttle-alert (state 2)"]


def test_power_that_flows_back_is_negative(tmp_path):
    put_ina3221(tmp_path, "1-0040", {"VDD_IN": (5000, -8)})
    assert read_power(tmp_path).total_w == -0.04


def test_a_file_that_holds_no_number_is_a_reason(jetson):
    put(next(jetson.glob("bus/i2c/devices/*/hwmon/*/curr1_input")), "n/a")
    assert "VDD_IN" in (read_power(jetson).reason or "")


def test_a_channel_that_fails_takes_no_other_with_it(jetson):
    put(next(jetson.glob("bus/i2c/devices/*/hwmon/*/curr2_input")), "n/a")
    power = read_power(jetson)
    assert (power.total_w, power.reason) == (12.5, None)
    assert [rail.name for rail in power.rails] == ["VDD_IN"]


def test_without_a_part_of_the_total_the_rails_are_left(jetson):
    put(next(jetson.glob("bus/i2c/devices/*/hwmon/*/curr1_input")), "n/a")
    power = read_power(jetson)
    assert power.total_w is None
    assert [rail.name for rail in power.rails] == ["VDD_CPU_GPU_CV"]


def test_files_are_read_at_most_once_an_interval(jetson):
    now_s = 100.0
    board = LiveBoard(jetson, min_interval_s=1.0, clock=lambda: now_s)
    first = board.read()
    put(jetson / "class/thermal/thermal_zone0/temp", 60_000)
    now_s += 0.9
    assert board.read() is first
    now_s += 0.1
    assert board.read().temperatures[0].celsius == 60.0


def test_the_route_answers_what_the_board_shows(tmp_path, jetson):
    with agent(tmp_path / "data") as service, TestClient(create_app(service, board=LiveBoard(jetson))) as client:
        readings = LiveReadings.model_validate(client.get("/device/live").json())
    assert readings.power.total_w == 12.5
