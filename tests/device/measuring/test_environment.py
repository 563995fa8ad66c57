import os
import resource

import psutil
import pytest

from gdws_agent.measuring.environment import Snapshot, activity, describe_environment, snapshot, usable_cores


def write(root, name, text):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def two_clocks(tmp_path):
    for number, governor, khz in ((0, "schedutil", 1_190_400), (1, "performance", 2_265_600)):
        folder = f"sys/devices/system/cpu/cpu{number}"
        write(tmp_path, f"{folder}/cpufreq/scaling_governor", f"{governor}\n")
        write(tmp_path, f"{folder}/cpufreq/cpuinfo_max_freq", f"{khz}\n")
        write(tmp_path, f"{folder}/thermal_throttle/core_throttle_count", f"{number + 3}\n")
    write(tmp_path, "sys/devices/system/cpu/cpufreq/boost", "1")
    return tmp_path


def test_what_is_in_the_files(two_clocks):
    described = describe_environment(two_clocks)
    assert described["cpu_governor"] == "performance, schedutil"
    assert described["cpu_mhz_max"] == 2265.6
    assert described["cpu_mhz_min"] is None
    assert snapshot(two_clocks).throttle_events == 7


def test_what_is_not_there_is_none(tmp_path):
    described = describe_environment(tmp_path)
    assert described["cpu_governor"] is None
    assert described["cpu_mhz_max"] is None
    assert described["cpu_quota_cores"] is None
    assert snapshot(tmp_path).throttle_events is None


@pytest.mark.parametrize(("limit", "told"), [(2**30, 2**30), (resource.RLIM_INFINITY, None)])
def test_private_memory_and_what_the_process_may_have_of_it(tmp_path, monkeypatch, limit, told):
    monkeypatch.setattr(resource, "getrlimit", lambda kind: {resource.RLIMIT_DATA: (limit, limit)}[kind])
    described = describe_environment(tmp_path)
    assert described["private_memory_bytes"] > 0
    assert described["private_memory_limit_bytes"] == told


def test_unreadable_numbers_are_none(tmp_path):
    write(tmp_path, "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq", "<unknown>")
    assert describe_environment(tmp_path)["cpu_mhz_max"] is None


@pytest.mark.parametrize(
    ("text", "cores"), [("max 100000", None), ("150000 100000", 1.5), ("", None), ("50000 100000", 0.5)]
)
def test_quota(tmp_path, text, cores):
    write(tmp_path, "sys/fs/cgroup/cpu.max", text)
    assert describe_environment(tmp_path)["cpu_quota_cores"] == cores


def test_usable_cores(tmp_path, monkeypatch):
    monkeypatch.setattr(psutil, "cpu_count", lambda logical=True: 16 if logical else 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)))
    assert usable_cores(tmp_path) == 6
    write(tmp_path, "sys/fs/cgroup/cpu.max", "250000 100000")
    assert usable_cores(tmp_path) == 2
    write(tmp_path, "sys/fs/cgroup/cpu.max", "50000 100000")
    assert usable_cores(tmp_path) == 1


def test_usable_cores_where_the_system_does_not_tell(tmp_path, monkeypatch):
    monkeypatch.setattr(psutil, "cpu_count", lambda logical=True: None)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(3)))
    assert usable_cores(tmp_path) == 3


def test_activity():
    before = Snapshot(wall_s=100.0, busy_s=50.0, stolen_s=1.0, own_s=5.0, throttle_events=2)
    after = Snapshot(wall_s=110.0, busy_s=65.0, stolen_s=2.0, own_s=12.0, throttle_events=5)
    seen = activity(before, after, logical_cores=4)
    assert seen.cpu_others_share == pytest.approx((15 - 7) / 40)
    assert seen.cpu_stolen_share == pytest.approx(1 / 40)
    assert seen.cpu_throttle_events == 3


def test_activity_is_never_negative():
    before = Snapshot(100.0, 50.0, 0.0, 5.0, None)
    after = Snapshot(101.0, 50.5, 0.0, 6.0, None)
    assert activity(before, after, 2) == (0.0, 0.0, None)
    assert activity(before, before, 2) == (0.0, 0.0, None)


def test_a_snapshot_of_this_machine_counts_this_process():
    before = snapshot()
    deadline = before.own_s + 0.05
    while snapshot().own_s < deadline:
        pass
    after = snapshot()
    assert after.wall_s > before.wall_s
    assert after.busy_s >= before.busy_s
