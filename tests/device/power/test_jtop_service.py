"""The sensors and the clocks against jtop's real service, on the simulated Jetson of docker/simulated-jetson."""

from __future__ import annotations

import time

import pytest

from gdws_agent import jtop_clocks
from gdws_agent.clocks import Clocks, ClockState, ClocksUnavailable, PowerModeNeedsReboot, PowerModeUnknown
from gdws_agent.power.base import SensorFailed, Window
from gdws_agent.power.ina3221 import Ina3221Sensor
from gdws_agent.power.jtop import JtopSensor
from gdws_agent.thermal import Watch, summarise
from support.simulated_jetson import simulated_jetson

pytest.importorskip("jtop", reason="jetson-stats is not installed here: pip install jetson-stats")

ENERGY_TOLERANCE = 0.02
MEAN_TOLERANCE = 0.01


def rest(seconds):
    """Let time pass, which is what is measured here, and return the window."""
    start_s = time.monotonic()
    time.sleep(seconds)
    return Window(start_s, time.monotonic())


@pytest.mark.parametrize(
    ("trace", "seconds"),
    [
        ("constant:level_w=15", 10),
        ("ramp:low_w=10,high_w=20,period_s=40", 12),
        # A reading each half second dates a step to a quarter of a second. The half period is a multiple of that
        # interval, so that what a rise takes away a fall gives back.
        ("square:low_w=12,high_w=18,period_s=10", 40),
    ],
)
def test_energy_is_that_of_the_trace(tmp_path, trace, seconds):
    with simulated_jetson(tmp_path, trace) as jetson:
        sensors = [JtopSensor(jetson.socket), Ina3221Sensor(jetson.root)]
        for sensor in sensors:
            sensor.start()
        rest(1.5)
        window = rest(seconds)
        rest(1.0)
        traces = [sensor.stop() for sensor in sensors]
    for sensor, read in zip(sensors, traces):
        power, flags = read.account([window], inferences=100, batch_size=1)
        assert power.reason is None, power.reason
        assert flags == []
        energy_j = power.energy_per_inference_mj * 100 / 1e3
        assert energy_j == pytest.approx(jetson.energy_j(*window), rel=ENERGY_TOLERANCE), sensor.name
        assert power.mean_w == pytest.approx(jetson.mean_power_w(*window), rel=MEAN_TOLERANCE), sensor.name
        for rail in power.rails:
            truth = jetson.mean_power_w(*window, column=f"{rail.name}_mw")
            assert rail.mean_w == pytest.approx(truth, rel=MEAN_TOLERANCE, abs=0.02), rail.name


def test_windows_that_take_turns_with_another_load(tmp_path):
    """The windows of one variant, a second each, in a wave that is high in them and low between."""
    with simulated_jetson(tmp_path, "square:low_w=8,high_w=20,period_s=3") as jetson:
        sensors = [JtopSensor(jetson.socket), Ina3221Sensor(jetson.root)]
        for sensor in sensors:
            sensor.start()
        rest(1.0)
        fall = next_fall(jetson)
        windows = [Window(fall + 3 * i - 1.3, fall + 3 * i - 0.2) for i in range(1, 11)]
        rest(windows[-1].end_s + 1.0 - time.monotonic())
        traces = [sensor.stop() for sensor in sensors]
    for read in traces:
        power = read.account(windows, inferences=100, batch_size=1).power
        assert power.reason is None, power.reason
        assert power.mean_w == pytest.approx(20.0, rel=MEAN_TOLERANCE)
        assert power.energy_per_inference_mj == pytest.approx(20.0 * 10 * 1.1 / 100 * 1e3, rel=ENERGY_TOLERANCE)


def next_fall(jetson):
    """Return a time at which the power fell, by the log."""
    rows = [line.split(",") for line in (jetson.folder / "power.csv").read_text().splitlines()[1:]]
    falls = [float(after[0]) for before, after in zip(rows, rows[1:]) if float(after[-1]) < float(before[-1])]
    return falls[-1] if falls else float(rows[-1][0]) + 1.5


@pytest.mark.parametrize("ending", ["stop", "kill"])
def test_a_service_that_is_restarted_while_measuring(tmp_path, ending):
    with simulated_jetson(tmp_path, "constant:level_w=15") as jetson:
        sensor = JtopSensor(jetson.socket)
        sensor.start()
        start_s = time.monotonic()
        rest(5)
        getattr(jetson, ending)()
        lost_s = time.monotonic()
        rest(3)
        jetson.start()
        rest(14)
        window = Window(start_s, time.monotonic())
        trace = sensor.stop()
        truth_w = jetson.mean_power_w(window.end_s - 5, window.end_s)
    power, flags = trace.account([window], inferences=100, batch_size=1)
    assert power.reason is None, power.reason
    assert power.mean_w == pytest.approx(truth_w, rel=MEAN_TOLERANCE)
    assert {"power-sensor-silent", "power-sensor-trouble"} <= {flag.code for flag in flags}
    assert any(sample.time_s < lost_s for sample in trace.samples)
    assert any(sample.time_s > lost_s + 3 for sample in trace.samples)


def test_a_service_that_stays_away_costs_the_figures_alone(tmp_path):
    with simulated_jetson(tmp_path, "constant:level_w=15") as jetson:
        sensor = JtopSensor(jetson.socket)
        sensor.start()
        start_s = time.monotonic()
        rest(2)
        jetson.kill()
        rest(6)
        power = sensor.stop().account([Window(start_s, time.monotonic())], inferences=1, batch_size=1).power
    assert power.mean_w is None
    assert "gave no readings" in power.reason
    assert "jtop" in power.reason
    assert "systemctl restart jtop.service" in power.reason


@pytest.mark.parametrize(
    ("version", "wanted"), [("4.2.3", '"jetson-stats==4.2.3"'), ("9.1.4", '"jetson-stats~=9.1.0"')]
)
def test_a_service_of_another_version_is_told_with_what_to_install(tmp_path, version, wanted):
    with simulated_jetson(tmp_path, "constant", "--claim-version", version) as jetson:
        sensor = JtopSensor(jetson.socket)
        availability = sensor.probe()
        assert not availability.available
        assert f"service is of jetson-stats {version}" in availability.reason
        assert f"pip install {wanted}" in availability.reason
        with pytest.raises(SensorFailed, match=version):
            sensor.start()
        with pytest.raises(ClocksUnavailable, match=version), jtop_clocks.connect(jetson.socket):
            pass


def test_no_service(tmp_path):
    sensor = JtopSensor(tmp_path / "jtop.sock")
    assert "does not exist" in sensor.probe().reason
    with pytest.raises(SensorFailed, match=r"does not exist; .*systemctl restart jtop"):
        sensor.start()


def test_a_socket_that_nobody_listens_at(tmp_path):
    with simulated_jetson(tmp_path, "constant") as jetson:
        jetson.kill()
        assert jetson.socket.is_socket()
        availability = JtopSensor(jetson.socket).probe()
    assert "no jtop service listens" in availability.reason
    assert "the mount keeps the socket of the service before" in availability.reason


def test_what_the_simulation_says_of_itself_comes_along(tmp_path):
    with simulated_jetson(tmp_path, "constant") as jetson:
        availability = JtopSensor(jetson.socket).probe()
    assert availability.available, availability.reason
    assert availability.detail["simulated"] == "true"
    assert availability.detail["rails"] == "CPU, CV, GPU, SOC, SYS5V, VDDRQ"


def test_temperatures_and_clocks_are_seen(tmp_path):
    with simulated_jetson(tmp_path, "constant:level_w=20") as jetson:
        sensor = JtopSensor(jetson.socket)
        sensor.start()
        with Watch(tmp_path / "no-sysfs", interval_s=0.2, also=sensor.conditions) as watch:
            rest(3)
        sensor.stop()
    summary = summarise(watch.seen)
    assert {"CPU", "GPU"} <= set(summary["temperatures_c"])
    assert summary["clocks_mhz"]["EMC"]["max"] > 0
    assert summary["clocks_mhz"]["GPU"]["max"] > 0


class TestClocks:
    @pytest.fixture
    def jetson(self, tmp_path):
        with simulated_jetson(tmp_path, "constant") as jetson:
            yield jetson

    @pytest.fixture
    def state_file(self, tmp_path):
        return tmp_path / "clocks.json"

    def clocks(self, jetson, state_file):
        return Clocks(lambda: jtop_clocks.connect(jetson.socket), state_file)

    def seen(self, jetson):
        """Return mode and whether the clocks are fixed, as the files of the board have it."""
        mode = int((jetson.root / "simulated/nvpmodel_id").read_text())
        cpu = jetson.root / "devices/system/cpu/cpu0/cpufreq"
        fixed = (cpu / "scaling_min_freq").read_text() == (cpu / "scaling_max_freq").read_text()
        return mode, fixed

    def test_taken_held_and_given_back(self, jetson, state_file):
        before = self.seen(jetson)
        clocks = self.clocks(jetson, state_file)
        assert clocks.take("MODE_30W_ALL", True) == ClockState(power_mode="MODE_30W_ALL", jetson_clocks=True)
        assert self.seen(jetson) == (3, True)
        assert clocks.take(2, True) == ClockState(power_mode="MODE_15W", jetson_clocks=True)
        assert self.seen(jetson) == (2, True)
        assert clocks.restore() is None
        assert self.seen(jetson) == before == (0, False)
        assert not state_file.exists()

    def test_a_mode_that_needs_a_reboot_is_refused(self, jetson, state_file):
        clocks = self.clocks(jetson, state_file)
        with pytest.raises(PowerModeNeedsReboot, match="MODE_10W") as caught:
            clocks.take("MODE_10W", True)
        assert "nvpmodel -m 1" in caught.value.hint
        with pytest.raises(PowerModeUnknown, match="'15W'"):
            clocks.take("15W", None)
        clocks.restore()  # before 4.3 the service knows only once it has tried
        assert self.seen(jetson) == (0, False)
        assert not state_file.exists()

    def test_the_next_start_after_a_crash_gives_back(self, jetson, state_file):
        self.clocks(jetson, state_file).take("MODE_15W", None)
        assert state_file.exists()  # and here the agent dies
        self.clocks(jetson, state_file).restore()
        assert self.seen(jetson) == (0, False)

    def test_a_service_that_is_gone_keeps_the_record(self, jetson, state_file):
        clocks = self.clocks(jetson, state_file)
        clocks.take("MODE_15W", None)
        jetson.kill()
        with pytest.raises(ClocksUnavailable, match="no jtop service listens"):
            clocks.restore()
        assert state_file.exists()
