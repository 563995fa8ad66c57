import errno
import itertools
import os
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from gdws_agent.power import ina3221
from gdws_agent.power.base import SensorFailed, Window
from gdws_agent.power.ina3221 import Ina3221Sensor, conversion_s, find_channels, read_monitors
from support.sysfs import put, put_ina238, put_ina3221


@pytest.fixture
def xavier(tmp_path):
    put_ina3221(tmp_path, "1-0040", {"GPU": (19_000, 100), "CPU": (19_000, 200), "SOC": (19_000, 50)})
    put_ina3221(tmp_path, "1-0041", {"CV": (19_000, 0), "VDDRQ": (19_000, 20), "SYS5V": (5_000, 400)}, "hwmon4")
    put(tmp_path / "bus/i2c/devices/1-0050/name", "24c02")
    return tmp_path


@pytest.fixture
def orin_nx(tmp_path):
    put_ina3221(tmp_path, "1-0040", {"VDD_IN": (5_000, 1_000), "VDD_CPU_GPU_CV": (5_000, 400), "VDD_SOC": (5_000, 300)})
    return tmp_path


@pytest.fixture
def thor(tmp_path):
    put_ina3221(tmp_path, "2-0040", {"VDD_GPU": (20_000, 500), "VDD_CPU_SOC_MSS": (20_000, 400)})
    put_ina238(tmp_path, "2-0044", 20_000, 3_000)
    return tmp_path


@pytest.fixture
def fails(monkeypatch):
    """Have the files whose paths end with a text fail, with an error by number."""
    failing, read_text = {}, Path.read_text

    def read(path, *arguments, **options):
        for end, number in failing.items():
            if str(path).endswith(end):
                raise OSError(number, os.strerror(number), str(path))
        return read_text(path, *arguments, **options)

    monkeypatch.setattr(Path, "read_text", read)
    return failing


@pytest.fixture
def stepped(monkeypatch):
    """Have a start take 15 readings at once, 10 ms apart by a clock of their own: nothing waits for a thread."""
    ticks = itertools.count()

    class AtOnce:
        def __init__(self, task, interval_s, name):
            self.start = lambda: [task() for _ in range(15)]
            self.stop = lambda: None

    monkeypatch.setattr(ina3221, "Periodic", AtOnce)
    monkeypatch.setattr(ina3221, "time", SimpleNamespace(monotonic=lambda: next(ticks) * 0.005))


class TestFinding:
    def test_the_channels_of_all_monitors(self, xavier):
        channels = find_channels(xavier)
        assert [channel.rail for channel in channels] == ["GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"]
        assert [channel.read_w() for channel in channels] == pytest.approx([1.9, 3.8, 0.95, 0.0, 0.38, 2.0])

    def test_jetpack_4(self, tmp_path):
        device = tmp_path / "bus/i2c/devices/1-0040"
        put(device / "name", "ina3221x")
        for number, rail in enumerate(["GPU", "CPU", "SOC"]):
            put(device / f"iio:device0/rail_name_{number}", rail)
            put(device / f"iio:device0/in_voltage{number}_input", 19_000)
            put(device / f"iio:device0/in_current{number}_input", 100)
        assert {channel.rail: channel.read_w() for channel in find_channels(tmp_path)} == {
            "GPU": 1.9,
            "CPU": 1.9,
            "SOC": 1.9,
        }

    def test_channels_that_lead_nowhere_are_left_out(self, tmp_path):
        put_ina3221(tmp_path, "1-0041", {"NC": (0, 0), "VDDQ_VDD2_1V8AO": (4_968, 80)})
        assert [channel.rail for channel in find_channels(tmp_path)] == ["VDDQ_VDD2_1V8AO"]

    def test_the_input_of_a_thor(self, thor):
        channels = {channel.rail: channel.read_w() for channel in find_channels(thor)}
        assert channels["VIN"] == pytest.approx(60.0)
        availability = Ina3221Sensor(thor).probe()
        assert availability.detail["total"] == "board power, rail VIN"

    def test_a_thor_whose_input_is_not_seen_does_not_pass_for_whole(self, thor):
        put(thor / "bus/i2c/devices/2-0044/name", "something else")
        assert Ina3221Sensor(thor).probe().detail["total"].startswith("part of the power, sum of the rails")

    def test_two_rails_of_one_name_stay_apart(self, tmp_path):
        put_ina3221(tmp_path, "1-0040", {"VDD": (5_000, 100)})
        put_ina3221(tmp_path, "1-0041", {"VDD": (5_000, 200)})
        assert [channel.rail for channel in find_channels(tmp_path)] == ["VDD", "VDD@1-0041"]

    def test_how_long_a_conversion_takes(self, tmp_path):
        folder = put_ina3221(tmp_path, "1-0040", {"VDD_IN": (5_000, 100)})
        (channel,) = find_channels(tmp_path)
        assert conversion_s(channel) == ina3221.CONVERSION_S
        put(folder / "update_interval", 40)
        assert conversion_s(channel) == 0.040


class TestProbing:
    def test_it_tells_rails_and_total(self, xavier):
        availability = Ina3221Sensor(xavier).probe()
        assert availability.available
        assert availability.detail["rails"] == "GPU, CPU, SOC, CV, VDDRQ, SYS5V"
        assert "sum of the rails" in availability.detail["total"]

    def test_a_machine_without_monitors(self, tmp_path):
        availability = Ina3221Sensor(tmp_path).probe()
        assert not availability.available
        assert "no INA3221 power monitor" in availability.reason

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
    def test_files_that_are_closed_to_the_user(self, xavier):
        closed = xavier / "bus/i2c/devices/1-0040/hwmon/hwmon3/curr2_input"
        closed.chmod(0o600)
        for folder in [xavier, *xavier.parents]:
            if folder.stat().st_uid == 0 and str(folder).startswith("/tmp/"):
                folder.chmod(0o755)
        os.seteuid(65534)
        try:
            availability = Ina3221Sensor(xavier).probe()
        finally:
            os.seteuid(0)
        assert not availability.available
        assert f"{closed} may not be read" in availability.reason
        assert "chmod a+r" in availability.reason
        assert "jtop" in availability.reason

    def test_a_channel_that_is_turned_off_is_left_out(self, xavier, monkeypatch):
        read_w = ina3221.Channel.read_w

        def read(channel):
            if channel.rail == "CV":
                raise OSError(61, "No data available")
            return read_w(channel)

        monkeypatch.setattr(ina3221.Channel, "read_w", read)
        assert "CV" not in [channel.rail for channel in read_monitors(xavier).live]

    @pytest.mark.parametrize(("text", "message"), [("", "does not give numbers for rail GPU"), ("x", "rail GPU")])
    def test_files_without_numbers(self, xavier, text, message):
        put(xavier / "bus/i2c/devices/1-0040/hwmon/hwmon3/curr1_input", text)
        with pytest.raises(SensorFailed, match=message):
            Ina3221Sensor(xavier).start()

    def test_a_file_that_went_away(self, xavier):
        (xavier / "bus/i2c/devices/1-0040/hwmon/hwmon3/curr1_input").unlink()
        with pytest.raises(SensorFailed, match=r"cannot be read: .*curr1_input"):
            Ina3221Sensor(xavier).start()


class TestOneBadChannel:
    @pytest.mark.parametrize("number", [errno.EIO, errno.ETIMEDOUT, errno.EAGAIN, errno.EREMOTEIO, errno.EACCES])
    @pytest.mark.parametrize("file", ["in3_input", "curr3_input"])
    def test_the_total_is_read_all_the_same(self, orin_nx, fails, number, file):
        fails[f"hwmon3/{file}"] = number
        sensor = Ina3221Sensor(orin_nx)
        availability = sensor.probe()
        assert availability.available
        assert availability.detail["rails"] == "VDD_IN, VDD_CPU_GPU_CV"
        assert file in availability.detail["unreadable"]
        sensor.start()
        trace = sensor.stop()
        assert trace.samples[0].total_w == 5.0

    def test_a_total_that_lacks_a_part_is_none(self, xavier, fails):
        """The others' sum would pass for the whole."""
        fails["hwmon3/curr1_input"] = errno.EIO
        sensor = Ina3221Sensor(xavier)
        assert "curr1_input" in sensor.probe().reason
        with pytest.raises(SensorFailed, match="curr1_input"):
            sensor.start()

    def test_one_that_fails_meanwhile(self, orin_nx, fails, stepped):
        sensor = Ina3221Sensor(orin_nx)
        sensor.start()
        fails["hwmon3/in3_input"] = errno.EIO
        sensor._read()
        trace = sensor.stop()
        assert set(trace.samples[-1].rails_w) == {"VDD_IN", "VDD_CPU_GPU_CV"}
        window = Window(trace.samples[0].start_s, trace.samples[-1].end_s)
        power, flags = trace.account([window], inferences=1, batch_size=1)
        assert power.mean_w == pytest.approx(5.0)
        assert [flag.code for flag in flags if "in3_input" in flag.detail] == ["power-sensor-trouble"]

    def test_a_part_of_a_sum_that_fails_meanwhile_does_not_lower_it(self, xavier, fails, stepped):
        sensor = Ina3221Sensor(xavier)
        sensor.start()
        fails["hwmon3/in1_input"] = errno.EIO
        sensor._read()
        totals = [sample.total_w for sample in sensor.stop().samples]
        assert totals == pytest.approx([9.03] * 15)


class ReadUntil(Ina3221Sensor):
    """Tells when it has read so many times."""

    def __init__(self, sysfs, count):
        super().__init__(sysfs, interval_s=0.001)
        self.done = threading.Event()
        self._left = count

    def _read(self):
        try:
            super()._read()
        finally:
            self._left -= 1
            if self._left <= 0:
                self.done.set()


class TestReading:
    def test_power_of_all_rails(self, xavier, stepped):
        sensor = Ina3221Sensor(xavier)
        sensor.start()
        trace = sensor.stop()
        window = Window(trace.samples[0].start_s, trace.samples[-1].end_s)
        power = trace.account([window], inferences=10, batch_size=1).power
        assert power.reason is None
        assert power.mean_w == pytest.approx(9.03)
        assert {rail.name for rail in power.rails} == {"GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"}
        assert power.interval_ms == pytest.approx(10.0)

    def test_a_reading_speaks_for_the_conversion_before_it(self, xavier):
        sensor = ReadUntil(xavier, 3)
        sensor.start()
        assert sensor.done.wait(60)
        for sample in sensor.stop().samples:
            assert sample.end_s - sample.start_s >= ina3221.CONVERSION_S

    def test_monitors_that_go_away_leave_what_was_read_and_the_reason(self, xavier):
        sensor = ReadUntil(xavier, 3)
        sensor.start()
        assert sensor.done.wait(60)
        (xavier / "bus/i2c/devices/1-0040/hwmon/hwmon3/in1_input").unlink()
        sensor.done.clear()
        assert sensor.done.wait(60)
        power = sensor.stop().account([Window(0.0, 1.0)], inferences=1, batch_size=1).power
        assert "reading the INA3221 failed" in power.reason
        assert "in1_input" in power.reason

    def test_without_a_start_there_is_nothing(self, xavier):
        power = Ina3221Sensor(xavier).stop().account([Window(0.0, 1.0)], inferences=1, batch_size=1).power
        assert "it was not started" in power.reason
