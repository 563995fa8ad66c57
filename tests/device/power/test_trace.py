import pytest

from gdws_agent.power.base import Window
from gdws_agent.power.trace import Reading, SampledTrace

WINDOW = Window(10.0, 20.0)


def readings(rails_w, start_s=0.0, end_s=30.0, interval_s=0.25):
    count = int((end_s - start_s) / interval_s)
    return [Reading(start_s + i * interval_s, start_s + i * interval_s, dict(rails_w)) for i in range(count)]


def account(trace, **more):
    return trace.account([WINDOW], inferences=500, batch_size=4, **more)


def test_figures_and_their_units():
    power = account(SampledTrace("jtop", readings({"VDD_IN": 12.0, "VDD_SOC": 3.0}))).power
    assert power.sensor == "jtop"
    assert power.reason is None
    assert power.scope == "module power, rail VDD_IN"
    assert power.mean_w == power.peak_w == pytest.approx(12.0)
    assert power.energy_per_inference_mj == pytest.approx(12.0 * 10 / 500 * 1000)
    assert power.energy_interval.low == pytest.approx(power.energy_per_inference_mj)
    assert power.energy_interval.high == pytest.approx(power.energy_per_inference_mj)
    assert "calibration not included" in power.energy_interval.method
    # 500 calls of 4 images in 10 s are 200 images a second, for 12 W.
    assert power.fps_per_watt == pytest.approx(200 / 12)
    assert (power.samples, power.interval_ms) == (41, 250.0)
    assert [(rail.name, rail.mean_w, rail.peak_w) for rail in power.rails] == [
        ("VDD_IN", pytest.approx(12.0), 12.0),
        ("VDD_SOC", pytest.approx(3.0), 3.0),
    ]


def test_without_a_baseline_there_is_no_net_energy():
    power = account(SampledTrace("jtop", readings({"VDD_IN": 12.0}))).power
    assert (power.idle_w, power.net_energy_per_inference_mj) == (None, None)


class TestBaseline:
    def trace(self, idle_w, busy_w, idle_s=8.0):
        idle = readings({"VDD_IN": idle_w}, 10 - idle_s, 10.0)
        return SampledTrace("jtop", [*idle, *readings({"VDD_IN": busy_w}, 10.0, 25.0)])

    def test_net_energy_is_above_it(self):
        power, flags = account(self.trace(5.0, 12.0), idle=[Window(2.0, 9.9)])
        assert power.idle_w == pytest.approx(5.0)
        assert power.net_energy_per_inference_mj == pytest.approx((12.0 - 5.0) * 10 / 500 * 1000)
        assert flags == []

    def test_power_at_idle_has_no_net_energy_and_a_flag(self):
        power, flags = account(self.trace(12.5, 12.0), idle=[Window(2.0, 9.9)])
        assert power.idle_w == pytest.approx(12.5)
        assert power.net_energy_per_inference_mj is None
        assert [flag.code for flag in flags] == ["power-near-idle"]

    def test_one_that_is_too_short_costs_the_net_energy_alone(self):
        power, flags = account(self.trace(5.0, 12.0), idle=[Window(9.0, 9.9)])
        assert power.mean_w == pytest.approx(12.0)
        assert (power.idle_w, power.net_energy_per_inference_mj) == (None, None)
        assert [flag.code for flag in flags] == ["power-no-baseline"]
        assert "no idle baseline: 4 power readings" in flags[0].detail


class TestDoubts:
    def test_windows_shorter_than_the_interval(self):
        trace = SampledTrace("jtop", readings({"VDD_IN": 12.0}, 0, 60, 0.5))
        windows = [Window(1 + 0.7 * i, 1.3 + 0.7 * i) for i in range(60)]
        flags = trace.account(windows, inferences=1, batch_size=1).flags
        assert [flag.code for flag in flags] == ["power-windows-short"]
        assert "windows of 0.30 s are shorter than the 0.50 s between power readings" in flags[0].detail

    def test_a_silent_sensor(self):
        trace = SampledTrace("jtop", [*readings({"VDD_IN": 12.0}, 0, 12), *readings({"VDD_IN": 12.0}, 15, 30)])
        flags = account(trace).flags
        assert [flag.code for flag in flags] == ["power-sensor-silent"]
        assert "of the 10.0 s measured" in flags[0].detail

    def test_trouble_that_left_enough_readings(self):
        flags = account(SampledTrace("jtop", readings({"VDD_IN": 12.0}), "the connection broke")).flags
        assert [(flag.code, flag.detail) for flag in flags] == [("power-sensor-trouble", "the connection broke")]


class TestRefusals:
    def test_the_reason_tells_what_went_wrong_meanwhile(self):
        trace = SampledTrace("jtop", readings({"VDD_IN": 12.0}, 0, 11), "the connection broke")
        power, flags = account(trace)
        assert power.mean_w is None
        assert "no readings for 8.9 s of the 10.0 s measured" in power.reason
        assert power.reason.endswith("; the connection broke")
        assert flags == []

    @pytest.mark.parametrize("taken", [[], readings({})])
    def test_no_readings(self, taken):
        assert account(SampledTrace("jtop", taken)).power.reason == "the sensor gave no readings"


def test_a_reading_that_lacks_a_rail_does_not_lower_the_total():
    taken = readings({"CPU": 4.0, "GPU": 8.0})
    for i in range(0, len(taken), 3):
        taken[i] = taken[i]._replace(rails_w={"CPU": 4.0})
    power = account(SampledTrace("jtop", taken)).power
    assert power.mean_w == pytest.approx(12.0)
    assert power.samples == 28


def test_the_offset_of_an_idle_rail_is_no_negative_power():
    power = account(SampledTrace("jtop", readings({"CPU": 4.0, "CV": -0.02}))).power
    assert power.rails[1].name == "CV"
    assert power.rails[1].mean_w == 0.0
