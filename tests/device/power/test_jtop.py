import threading
import time
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from gdws_agent.power import ina3221, jtop, jtop_client, registry
from gdws_agent.power.base import SensorFailed, Window
from gdws_agent.power.ina3221 import Channel, Ina3221Sensor, Monitors
from gdws_agent.power.jtop import JtopConditions, JtopSensor, conditions_of, missed_rails, rails_of, reading_of
from gdws_agent.power.jtop_client import JtopFailed
from support.sysfs import put_ina3221

#: Its files are not there, so that nothing is read.
VDD_IN = Channel("VDD_IN", Path("nowhere/in1_input"), Path("nowhere/curr1_input"))


def rail(power_mw, kind="INA3221", **more):
    return {"type": kind, "volt": 5000, "curr": power_mw // 5, "power": power_mw, "avg": 1, "online": True, **more}


def power_of(total=None, **rails_mw):
    tot = {"power": sum(rails_mw.values()), "avg": 1} if total is None else {**rail(total[1]), "name": total[0]}
    return {"rail": {name: rail(value) for name, value in rails_mw.items()}, "tot": tot}


class TestRails:
    def test_instantaneous_power_in_watts(self):
        assert rails_of(power_of(GPU=12_500, CPU=3_000)) == {"GPU": 12.5, "CPU": 3.0}

    def test_the_total_rail_is_among_them(self):
        assert rails_of(power_of(total=("VDD_IN", 9_000), VDD_SOC=2_000)) == {"VDD_SOC": 2.0, "VDD_IN": 9.0}

    def test_a_usb_supply_is_no_rail(self):
        power = power_of(GPU=12_500)
        power["rail"]["1-00081"] = rail(15_000, kind="USB")
        assert rails_of(power) == {"GPU": 12.5}

    def test_the_input_monitor_of_a_thor_is(self):
        assert rails_of({"rail": {}, "tot": {**rail(60_000, kind="INA238"), "name": "VIN"}}) == {"VIN": 60.0}

    def test_a_board_without_sensors(self):
        assert rails_of({}) == {}

    @pytest.mark.parametrize("broken", [{}, {"power": None}, {"power": "?"}])
    def test_one_that_is_not_understood_takes_no_other_with_it(self, broken):
        power = power_of(total=("VDD_IN", 9_000), VDD_SOC=2_000)
        power["rail"]["VDD_CPU_GPU_CV"] = {"type": "INA3221", **broken}
        assert rails_of(power) == {"VDD_SOC": 2.0, "VDD_IN": 9.0}
        assert missed_rails(power) == {"VDD_CPU_GPU_CV"}

    def test_one_that_is_turned_off_is_neither_read_nor_missed(self):
        power = power_of(GPU=12_500)
        power["rail"]["CV"] = rail(0, online=False)
        assert rails_of(power) == {"GPU": 12.5}
        assert missed_rails(power) == set()


class TestConditions:
    @pytest.mark.parametrize(
        ("told", "mhz"), [(1575, 1575.0), (1_575_000, 1575.0), (1_575_000_000, 1575.0), (76_800, 76.8)]
    )
    def test_clocks_by_whatever_unit_they_are_told_in(self, told, mhz):
        client = Client()
        client.gpu = Interface({"gpu-gpc-0": {"freq": {"cur": told}}})
        client.memory = Interface({"EMC": {"cur": told}})
        assert conditions_of(client, 0.0).clocks_mhz == pytest.approx({"GPU": mhz, "EMC": mhz})

    def test_the_limit_of_the_memory_clock_is_that_of_the_power_mode(self):
        client = Client()
        client.memory = Interface({"EMC": {"cur": 800_000, "max": 1_333_000}})
        assert conditions_of(client, 0.0).limits_mhz == {"EMC": 1333.0}
        client.memory = Interface({"EMC": {"cur": 800_000, "max": None}})
        assert conditions_of(client, 0.0).limits_mhz == {}

    def test_each_clock_of_a_gpu_is_told(self):
        client = Client()
        client.gpu = {"gpu-nvd-0": {"freq": {"cur": 1_692_000}}, "gpu-gpc-0": {"freq": {"cur": 700_000}}}
        assert conditions_of(client, 0.0).clocks_mhz == {"GPU nvd-0": 1692.0, "GPU": 700.0, "EMC": 2133.0}

    @pytest.mark.parametrize(
        "broken",
        [
            {"gpu": {"gv11b": {"freq": None}}},
            {"gpu": {"gv11b": {}}},
            {"gpu": {"Thor": {"freq": {"cur": 0}}}},
            {"memory": {}},
            {"memory": {"EMC": {"cur": None}}},
            {"temperature": {"GPU": {"temp": 45.5}, "CPU": {}, "SOC": {"temp": None, "online": True}, "CV": None}},
        ],
        ids=str,
    )
    def test_what_is_not_understood_takes_nothing_else_with_it(self, broken):
        client = Client()
        for name, value in broken.items():
            setattr(client, name, value)
        conditions = conditions_of(client, 0.0)
        assert conditions.temperatures_c == {"GPU": 45.5}
        assert conditions.clocks_mhz


class TestReadings:
    power = power_of(GPU=12_500)

    def test_it_was_taken_between_the_start_of_reading_and_its_arrival(self):
        reading = reading_of(self.power, 1_000.00, -900.0, 100.12, 0.5)
        assert (reading.start_s, reading.end_s) == (100.0, 100.12)

    def test_old_data_is_dropped(self):
        assert reading_of(self.power, 1_000.00, -900.0, 101.6, 0.5) is None

    def test_a_clock_that_is_not_ours_leaves_the_interval(self):
        reading = reading_of(self.power, 5_000.00, -900.0, 101.6, 0.5)
        assert (reading.start_s, reading.end_s) == (101.1, 101.6)


class Interface:
    """As jtop's own values: read as a dictionary is, and none."""

    def __init__(self, data):
        self._data = data
        self.items, self.keys, self.values, self.get = data.items, data.keys, data.values, data.get

    def __getitem__(self, key):
        return self._data[key]

    def __contains__(self, key):
        return key in self._data


class Client:
    """A client of jetson-stats as far as the sensor uses it; :meth:`beat` is what its thread would do."""

    def __init__(self, power=None, interval=0.5, hardware=None):
        self.power = power_of(GPU=12_500, CPU=2_500) if power is None else power
        self.interval = interval
        self.board = {"hardware": hardware or {"Module": "AGX Xavier", "L4T": "35.4.1"}}
        self.gpu = Interface({"gv11b": {"freq": {"cur": 1_377_000}}})
        self.memory = Interface({"EMC": {"cur": 2_133_000}})
        self.temperature = {"GPU": {"temp": 45.5, "online": True}, "PLL": {"temp": -256, "online": False}}
        self.nvpmodel = SimpleNamespace(models=["MAXN", "MODE_10W"])
        self.uptime = timedelta(0)
        self.alive = True
        self.error = None
        self.closed = False
        self.observers = set()

    def attach(self, observer):
        self.observers.add(observer)

    def detach(self, observer):
        self.observers.discard(observer)

    def ok(self, spin):
        if self.error is not None:
            raise self.error
        return True

    def is_alive(self):
        return self.alive

    def close(self):
        self.closed = True

    def beat(self, uptime_s=None):
        if uptime_s is None:
            uptime_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        self.uptime = timedelta(seconds=uptime_s)
        for observer in list(self.observers):
            observer(self)


@pytest.fixture
def service(monkeypatch):
    """Hand out clients, the next that the test put in line, each with a first beat."""
    line = []
    handed = []
    told = threading.Event()

    def connect(path, on_beat, timeout_s):
        told.set()
        if not line:
            raise JtopFailed("no jtop service listens", "start it")
        client = line.pop(0)
        client.attach(on_beat)
        client.beat()
        handed.append(client)
        return client

    monkeypatch.setattr(jtop_client, "connect", connect)
    monkeypatch.setattr(jtop_client, "installed_version", lambda: "4.3.2")
    monkeypatch.setattr(jtop, "_SUPERVISE_S", 0.01)
    service = type("Service", (), {})()
    service.line, service.handed, service.told = line, handed, told
    return service


def account(trace):
    return trace.account([Window(0.0, 1e9)], inferences=1, batch_size=1).power


class TestProbing:
    def test_it_tells_what_the_service_knows(self, service):
        service.line.append(Client(hardware={"Module": "Simulated AGX Xavier", "Simulated": "true"}))
        availability = JtopSensor().probe()
        assert availability.available
        assert availability.version == "4.3.2"
        assert availability.detail["rails"] == "GPU, CPU"
        assert availability.detail["interval_s"] == "0.5"
        assert availability.detail["simulated"] == "true"
        assert availability.detail["power_modes"] == "MAXN, MODE_10W"
        assert service.handed[0].closed

    def test_no_service(self, service):
        availability = JtopSensor().probe()
        assert (availability.available, availability.reason) == (False, "no jtop service listens; start it")

    def test_a_board_without_rails(self, service):
        service.line.append(Client(power={}))
        availability = JtopSensor().probe()
        assert not availability.available
        assert "reports no power rails" in availability.reason
        assert service.handed[0].closed


class TestCollecting:
    def start(self, service, *clients):
        service.line.extend(clients)
        sensor = JtopSensor()
        sensor.start()
        return sensor

    def test_what_arrives_is_kept_once(self, service):
        client = Client()
        sensor = self.start(service, client)
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        for _ in range(3):
            client.beat(now + 0.001)  # the same answer, handed out again
        client.beat(now - 5.0)  # one from before the service stalled
        trace = sensor.stop()
        assert len(trace.samples) == 2
        assert trace.samples[0].total_w == 15.0
        assert client.closed
        assert client.observers == set()

    def test_it_does_not_start_without_a_service(self, service):
        with pytest.raises(SensorFailed, match="no jtop service listens; start it"):
            JtopSensor().start()

    def test_a_part_of_the_sum_that_is_never_told_leaves_no_total(self, service):
        client = Client(power=power_of(GPU=12_500, CPU=2_500))
        client.power["rail"]["SOC"] = {"type": "INA3221"}
        trace = self.start(service, client).stop()
        assert trace.samples == []
        assert "the total is not known: part of the power, sum of the rails CPU, GPU, SOC" in account(trace).reason

    def test_nonsense_is_told_and_ends_nothing(self, service):
        client = Client()
        sensor = self.start(service, client)
        client.power = {"rail": {"GPU": {"type": "INA3221"}}}
        client.beat()
        client.power = power_of(GPU=1_000, CPU=1_000)
        client.beat()
        trace = sensor.stop()
        assert len(trace.samples) == 2
        assert "invalid response: 'power'" in account(trace).reason

    @pytest.mark.parametrize(
        "breakage", [{"error": EOFError("Lost connection with jtop server")}, {"alive": False}], ids=["error", "dead"]
    )
    def test_a_broken_connection_is_made_anew(self, service, breakage):
        first, second = Client(), Client()
        sensor = self.start(service, first, second)
        for name, value in breakage.items():
            setattr(first, name, value)
        wait_for(lambda: second.observers)
        second.beat()
        trace = sensor.stop()
        assert first.closed
        assert len(trace.samples) >= 3
        assert "connection to the jtop service" in account(trace).reason

    def test_a_service_that_falls_silent_is_connected_to_anew(self, service, monkeypatch):
        monkeypatch.setattr(jtop, "SILENCE_S", 0.05)
        first, second = Client(interval=0.001), Client(interval=0.001)
        sensor = self.start(service, first, second)
        wait_for(lambda: second.observers)
        assert "no fresh data for" in account(sensor.stop()).reason

    def test_a_service_that_stays_away_leaves_what_was_read_and_the_reason(self, service):
        client = Client()
        sensor = self.start(service, client)
        service.told.clear()
        client.alive = False
        assert service.told.wait(60)
        service.told.clear()
        assert service.told.wait(60)  # and is tried again
        trace = sensor.stop()
        assert len(trace.samples) == 1
        assert "no jtop service listens; start it" in account(trace).reason

    def test_the_interval_is_what_the_service_says(self, service):
        sensor = self.start(service, Client(interval=2.0))
        assert sensor.interval_s == 2.0
        sensor.stop()

    def test_temperatures_and_clocks_come_along(self, service):
        sensor = self.start(service, Client())
        conditions = sensor.conditions()
        sensor.stop()
        assert conditions.temperatures_c == {"GPU": 45.5}
        assert conditions.clocks_mhz == {"GPU": 1377.0, "EMC": 2133.0}

    def test_without_a_start_there_is_nothing(self):
        assert "it was not started" in account(JtopSensor().stop()).reason


class TestBesideAnotherSensor:
    """The kernel shows power to all users, and the memory clock to root alone."""

    def test_the_monitors_power_and_the_services_clocks(self, service, tmp_path):
        put_ina3221(tmp_path, "1-0040", {"VDD_IN": (5_000, 1_000)})
        service.line.append(Client(power={}))
        sensor = Ina3221Sensor(tmp_path, beside=JtopConditions())
        sensor.start()
        assert sensor.conditions().clocks_mhz == {"GPU": 1377.0, "EMC": 2133.0}
        trace = sensor.stop()
        assert trace.samples[0].total_w == 5.0
        assert sensor.conditions() is None
        assert service.handed[0].closed

    def test_without_the_service_there_is_power_all_the_same(self, service, tmp_path):
        put_ina3221(tmp_path, "1-0040", {"VDD_IN": (5_000, 1_000)})
        sensor = Ina3221Sensor(tmp_path, beside=JtopConditions())
        sensor.start()
        assert sensor.conditions() is None
        assert sensor.stop().samples

    def test_jobs_have_both(self, service, monkeypatch):
        monkeypatch.setattr(ina3221, "read_monitors", lambda sysfs: Monitors([VDD_IN], {}))
        service.line.append(Client())
        sensor = registry.get("ina3221")
        sensor.start()
        assert "EMC" in sensor.conditions().clocks_mhz
        sensor.stop()


def wait_for(condition):
    """Wait for what another thread will do."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)
