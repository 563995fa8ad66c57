import errno
import os
import time
from pathlib import Path

import pytest

from gdws_agent.power.thermal import Conditions, Gauges, merge, summarise, thermal_flags
from gdws_contract.thermal import ClockSummary, TemperatureSummary, Thermal
from support.sysfs import put


@pytest.fixture
def jetson(tmp_path):
    """The files of an Orin, as far as they are read."""
    for number, (name, millidegrees) in enumerate(
        [("CPU-therm", 45_500), ("GPU-therm", 44_000), ("cv0-thermal", -256_000), ("PMIC-Die", 100_000)]
    ):
        put(tmp_path / f"class/thermal/thermal_zone{number}/type", name)
        put(tmp_path / f"class/thermal/thermal_zone{number}/temp", millidegrees)
    for cpu, khz in enumerate([729_600, 2_201_600]):
        put(tmp_path / f"devices/system/cpu/cpu{cpu}/cpufreq/scaling_cur_freq", khz)
        put(tmp_path / f"devices/system/cpu/cpu{cpu}/cpufreq/scaling_max_freq", 2_201_600)
    put(tmp_path / "class/devfreq/17000000.ga10b/cur_freq", 1_300_500_000)
    put(tmp_path / "class/devfreq/17000000.ga10b/max_freq", 1_300_500_000)
    put(tmp_path / "class/devfreq/15340000.vic/cur_freq", 999_000_000)
    put(tmp_path / "kernel/debug/bpmp/debug/clk/emc/rate", 3_199_000_000)
    put(tmp_path / "kernel/debug/bpmp/debug/clk/emc/max_rate", 3_199_000_000)
    for number, (kind, state) in enumerate([("pwm-fan", 3), ("cpu-throttle-alert", 0), ("devfreq-17000000.ga10b", 0)]):
        put(tmp_path / f"class/thermal/cooling_device{number}/type", kind)
        put(tmp_path / f"class/thermal/cooling_device{number}/cur_state", state)
    put(tmp_path / "class/hwmon/hwmon2/oc1_event_cnt", 0)
    put(tmp_path / "class/hwmon/hwmon2/oc3_event_cnt", 37)
    return tmp_path


def test_what_a_jetson_shows(jetson):
    conditions = Gauges(jetson).read()
    assert conditions.temperatures_c == {"CPU-therm": 45.5, "GPU-therm": 44.0}
    assert conditions.clocks_mhz == {"CPU": 2201.6, "GPU": 1300.5, "EMC": 3199.0}
    assert conditions.limits_mhz == {"CPU": 2201.6, "GPU": 1300.5, "EMC": 3199.0}
    assert conditions.caps == {"cpu-throttle-alert": 0, "devfreq-17000000.ga10b": 0}
    assert conditions.events == {"oc1": 0, "oc3": 37}


@pytest.mark.parametrize(("cap_hz", "limit_mhz"), [(0, 3199.0), (2_133_000_000, 2133.0)])
def test_the_cap_of_a_power_mode_limits_the_memory_clock(jetson, cap_hz, limit_mhz):
    put(jetson / "kernel/nvpmodel_emc_cap/emc_iso_cap", cap_hz)
    assert Gauges(jetson).read().limits_mhz["EMC"] == limit_mhz


def test_a_limit_that_rises_is_another_doubt():
    seen = [at(0, limits_mhz={"GPU": 900.0, "EMC": 2133.0}), at(1, limits_mhz={"GPU": 1300.0, "EMC": 2133.0})]
    (flag,) = thermal_flags(seen)
    assert (flag.code, flag.detail) == ("clocks-raised", "the limit of the GPU clock rose from 900 to 1300 MHz")
    assert list(thermal_flags(seen[1:])) == []


def test_a_machine_that_shows_nothing(tmp_path):
    conditions = Gauges(tmp_path).read()
    assert conditions[1:] == ({}, {}, {}, {}, {})
    assert summarise([conditions]) is None


@pytest.mark.parametrize("text", ["", "n/a", "\x00"])
def test_files_without_numbers_are_left_out(jetson, text):
    put(jetson / "class/thermal/thermal_zone0/temp", text)
    put(jetson / "class/devfreq/17000000.ga10b/cur_freq", text)
    conditions = Gauges(jetson).read()
    assert "CPU-therm" not in conditions.temperatures_c
    assert "GPU" not in conditions.clocks_mhz


def at(time_s, **what):
    return Conditions(time_s, **what)


def test_the_summary_has_start_highest_and_end():
    summary = summarise(
        [
            at(0, temperatures_c={"GPU": 40.0}, clocks_mhz={"GPU": 1300.0, "CPU": 2000.0}, limits_mhz={"GPU": 1300.0}),
            at(1, temperatures_c={"GPU": 55.0}, clocks_mhz={"GPU": 1000.0}, limits_mhz={"GPU": 1300.0}),
            at(2, temperatures_c={"GPU": 50.0}, clocks_mhz={"GPU": 1300.0}, limits_mhz={"GPU": 1300.0}),
        ]
    )
    assert summary == Thermal(
        readings=3,
        temperatures=[TemperatureSummary(name="GPU", start_c=40.0, max_c=55.0, end_c=50.0)],
        clocks=[
            ClockSummary(name="GPU", min_mhz=1000.0, mean_mhz=1200.0, max_mhz=1300.0, limit_mhz=1300.0),
            ClockSummary(name="CPU", min_mhz=2000.0, mean_mhz=2000.0, max_mhz=2000.0),
        ],
        throttled=False,
        throttling=[],
    )


def test_temperatures_alone_tell_nothing_of_throttling():
    summary = summarise([at(0, temperatures_c={"CPU": 90.0})])
    assert summary is not None
    assert summary.throttled is None


@pytest.mark.parametrize(
    ("before", "after", "sign"),
    [
        ({"caps": {"gpu": 0}}, {"caps": {"gpu": 2}}, "gpu held clocks down against heat (state 2)"),
        ({"events": {"oc3": 37}}, {"events": {"oc3": 40}}, "3 oc3 events slowed the chip"),
        (
            {"limits_mhz": {"GPU": 1300.0}},
            {"limits_mhz": {"GPU": 900.0}},
            "the limit of the GPU clock fell from 1300 to 900 MHz",
        ),
    ],
)
def test_signs_of_throttling(before, after, sign):
    seen = [at(0, **before), at(1, **after)]
    summary = summarise(seen)
    assert summary is not None
    assert summary.throttled is True
    assert summary.throttling == [sign]
    assert [(flag.code, flag.detail) for flag in thermal_flags(seen)] == [("throttled", sign)]


@pytest.mark.parametrize(
    "steady", [{"caps": {"gpu": 0}}, {"events": {"oc3": 37}}, {"limits_mhz": {"GPU": 1300.0}}], ids=str
)
def test_no_sign_is_no_flag(steady):
    seen = [at(0, **steady), at(1, **steady)]
    summary = summarise(seen)
    assert summary is not None
    assert summary.throttled is False
    assert list(thermal_flags(seen)) == []


def test_nothing_read():
    assert summarise([]) is None


def test_what_another_source_knows_fills_the_gaps():
    merged = merge(at(5, clocks_mhz={"CPU": 2000.0}), at(3, clocks_mhz={"CPU": 1.0, "EMC": 3199.0}))
    assert merged == at(5, clocks_mhz={"CPU": 2000.0, "EMC": 3199.0})


def test_each_reading_is_of_now_and_filled_up_by_the_other_source(jetson):
    gauges = Gauges(jetson, also=lambda: at(time.monotonic(), clocks_mhz={"EMC": 1.0, "DLA": 1600.0}))
    first = gauges.read()
    put(jetson / "class/thermal/thermal_zone0/temp", 60_000)
    second = gauges.read()
    assert (first.clocks_mhz["DLA"], first.clocks_mhz["EMC"]) == (1600.0, 3199.0)
    assert (first.temperatures_c["CPU-therm"], second.temperatures_c["CPU-therm"]) == (45.5, 60.0)
    assert first.time_s < second.time_s


def test_what_the_other_source_knew_long_ago_is_passed_over(jetson):
    gauges = Gauges(jetson, also=lambda: at(time.monotonic() - 60, clocks_mhz={"DLA": 1600.0}))
    assert "DLA" not in gauges.read().clocks_mhz


@pytest.mark.parametrize("kind", ["pwm-fan", "Fan", "LCD", "TCC Offset", "hot-surface-alert", "intel_powerclamp"])
def test_what_holds_no_clock_down_is_no_sign(jetson, kind):
    put(jetson / "class/thermal/cooling_device9/type", kind)
    put(jetson / "class/thermal/cooling_device9/cur_state", 7)
    assert list(thermal_flags([Gauges(jetson).read()])) == []


@pytest.mark.parametrize("kind", ["gpu-throttle-alert", "thermal-cpufreq-0", "devfreq-17000000.ga10b", "Processor"])
def test_what_holds_clocks_down_is_a_sign(jetson, kind):
    put(jetson / "class/thermal/cooling_device9/type", kind)
    put(jetson / "class/thermal/cooling_device9/cur_state", 1)
    assert [flag.detail for flag in thermal_flags([Gauges(jetson).read()])] == [
        f"{kind} held clocks down against heat (state 1)"
    ]


def put_gpu(sysfs, node, mhz):
    for file in ("cur_freq", "max_freq"):
        put(sysfs / f"class/devfreq/{node}/{file}", mhz * 1_000_000)


def put_cores(sysfs, cores, khz):
    for core in cores:
        for file in ("scaling_cur_freq", "scaling_max_freq"):
            put(sysfs / f"devices/system/cpu/cpu{core}/cpufreq/{file}", khz)


def signs(seen):
    return [flag.detail for flag in thermal_flags(seen)]


class TestClocksOfOneKind:
    @pytest.mark.parametrize(
        ("node", "name"), [("gpu-gpc-0", "GPU"), ("gpu-gpc-1", "GPU gpc-1"), ("gpu-nvd-0", "GPU nvd-0")]
    )
    def test_each_gpu_clock_is_judged_by_itself(self, tmp_path, node, name):
        for each, mhz in (("gpu-gpc-0", 1575), ("gpu-gpc-1", 1575), ("gpu-nvd-0", 1692)):
            put_gpu(tmp_path, each, mhz)
        gauges = Gauges(tmp_path)
        before = gauges.read()
        put_gpu(tmp_path, node, 700)
        assert signs([before, gauges.read()]) == [
            f"the limit of the {name} clock fell from {before.limits_mhz[name]:.0f} to 700 MHz"
        ]
        assert before.clocks_mhz["GPU"] == 1575.0

    @pytest.mark.parametrize(("cores", "name"), [([0, 1, 2, 3], "CPU 0-3"), ([4, 5], "CPU 4-5"), ([1], "CPU 0-3")])
    def test_each_cluster_of_cores_is_judged_by_itself(self, tmp_path, cores, name):
        put_cores(tmp_path, range(4), 1_500_000)
        put_cores(tmp_path, (4, 5), 2_200_000)
        gauges = Gauges(tmp_path)
        before = gauges.read()
        assert before.clocks_mhz == {"CPU 0-3": 1500.0, "CPU 4-5": 2200.0}
        put_cores(tmp_path, cores, 800_000)
        (sign,) = signs([before, gauges.read()])
        assert sign.startswith(f"the limit of the {name} clock fell from ")

    @pytest.mark.parametrize("core", [0, 3, 11])
    def test_clusters_of_the_same_limit_are_one_clock_that_any_of_them_lowers(self, tmp_path, core):
        put_cores(tmp_path, range(12), 2_200_000)
        gauges = Gauges(tmp_path)
        before = gauges.read()
        assert before.limits_mhz == {"CPU": 2200.0}
        put_cores(tmp_path, [core], 1_100_000)
        assert signs([before, gauges.read()]) == ["the limit of the CPU clock fell from 2200 to 1100 MHz"]

    def test_cores_apart_from_each_other_are_told_as_such(self, tmp_path):
        put_cores(tmp_path, (0, 2, 3, 7), 1_500_000)
        put_cores(tmp_path, (1, 4), 2_200_000)
        assert set(Gauges(tmp_path).read().limits_mhz) == {"CPU 0,2-3,7", "CPU 1,4"}

    def test_zones_and_counters_of_one_name_stay_apart(self, jetson):
        put(jetson / "class/thermal/thermal_zone9/type", "CPU-therm")
        put(jetson / "class/thermal/thermal_zone9/temp", 90_000)
        gauges = Gauges(jetson)
        put(jetson / "class/hwmon/hwmon7/oc1_event_cnt", 5)
        assert gauges.read().temperatures_c["CPU-therm"] == 45.5
        assert gauges.read().temperatures_c["CPU-therm thermal_zone9"] == 90.0
        assert Gauges(jetson).read().events == {"oc1": 0, "oc3": 37, "oc1 hwmon7": 5}


@pytest.mark.parametrize(
    "file",
    [
        "class/thermal/thermal_zone0/temp",
        "class/devfreq/17000000.ga10b/cur_freq",
        "class/thermal/cooling_device1/cur_state",
        "class/hwmon/hwmon2/oc1_event_cnt",
        "devices/system/cpu/cpu0/cpufreq/scaling_cur_freq",
    ],
)
@pytest.mark.parametrize("number", [errno.EIO, errno.ETIMEDOUT, errno.EAGAIN, errno.EINVAL])
def test_a_file_that_fails_takes_no_other_with_it(jetson, monkeypatch, file, number):
    gauges, read_text = Gauges(jetson), Path.read_text
    whole = gauges.read()

    def read(path, *arguments, **options):
        if str(path).endswith(file):
            raise OSError(number, os.strerror(number), str(path))
        return read_text(path, *arguments, **options)

    monkeypatch.setattr(Path, "read_text", read)
    left = gauges.read()
    lost = [(name, set(getattr(whole, name)) - set(getattr(left, name))) for name in Conditions._fields[1:]]
    assert sum(len(names) for _, names in lost) == (0 if "cpufreq" in file else 1)
