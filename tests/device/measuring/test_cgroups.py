"""Limits of control groups, in the layouts that systems and containers have."""

import os

import psutil
import pytest

from gdws_agent.measuring.cgroups import cpuset_cores, quota_cores
from gdws_agent.measuring.environment import describe_environment, usable_cores
from support.sysfs import put

CGROUP = "sys/fs/cgroup"
V1_QUOTA, V1_PERIOD = "cpu.cfs_quota_us", "cpu.cfs_period_us"


def put_v1(folder, quota, period=100_000):
    put(folder / V1_QUOTA, quota)
    put(folder / V1_PERIOD, period)


def put_mount(root, seen, folder, kind, options):
    line = f"35 25 0:30 {seen} {folder} rw,nosuid shared:9 - {kind} {kind} {options}"
    path = root / "proc/self/mountinfo"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(f"{line}\n")


class TestVersion1:
    @pytest.mark.parametrize("folder", ["cpu", "cpu,cpuacct", "cpuacct,cpu"])
    def test_a_container_that_sees_its_own_group(self, tmp_path, folder):
        put(tmp_path / "proc/self/cgroup", "4:cpu,cpuacct:/")
        put_v1(tmp_path / CGROUP / folder, 150_000)
        assert quota_cores(tmp_path) == 1.5
        assert describe_environment(tmp_path)["cpu_quota_cores"] == 1.5

    def test_a_container_that_is_told_the_hosts_path(self, tmp_path):
        put(tmp_path / "proc/self/cgroup", "11:cpuset:/docker/abc\n4:cpu,cpuacct:/docker/abc")
        put_mount(tmp_path, "/docker/abc", "/sys/fs/cgroup/cpu,cpuacct", "cgroup", "rw,cpu,cpuacct")
        put_v1(tmp_path / CGROUP / "cpu,cpuacct", 50_000)
        assert quota_cores(tmp_path) == 0.5

    def test_a_service_on_the_host(self, tmp_path):
        put(tmp_path / "proc/self/cgroup", "4:cpu,cpuacct:/system.slice/agent.service")
        put_v1(tmp_path / CGROUP / "cpu", -1)
        put_v1(tmp_path / CGROUP / "cpu/system.slice", 400_000)
        put_v1(tmp_path / CGROUP / "cpu/system.slice/agent.service", -1)
        assert quota_cores(tmp_path) == 4.0

    def test_a_set_of_cpus(self, tmp_path):
        put(tmp_path / "proc/self/cgroup", "3:cpuset:/box")
        put(tmp_path / CGROUP / "cpuset/cpuset.cpus", "0-7")
        put(tmp_path / CGROUP / "cpuset/box/cpuset.cpus", "0-1,4")
        assert cpuset_cores(tmp_path) == 3


class TestVersion2:
    def test_the_group_of_the_container(self, tmp_path):
        put(tmp_path / "proc/self/cgroup", "0::/")
        put(tmp_path / f"{CGROUP}/cpu.max", "100000 100000")
        assert quota_cores(tmp_path) == 1.0

    @pytest.mark.parametrize(
        ("limits", "cores"),
        [
            ({"system.slice/agent.service": "100000 100000"}, 1.0),
            ({"system.slice": "200000 100000", "system.slice/agent.service": "max 100000"}, 2.0),
            ({"system.slice": "200000 100000", "system.slice/agent.service": "300000 100000"}, 2.0),
            ({"other.slice": "100000 100000"}, None),
        ],
        ids=str,
    )
    def test_the_lowest_limit_on_the_way_up(self, tmp_path, limits, cores):
        put(tmp_path / "proc/self/cgroup", "0::/system.slice/agent.service")
        for group, limit in limits.items():
            put(tmp_path / CGROUP / group / "cpu.max", limit)
        assert quota_cores(tmp_path) == cores

    def test_a_group_outside_of_what_is_seen(self, tmp_path):
        put(tmp_path / "proc/self/cgroup", "0::/../../elsewhere")
        put(tmp_path / f"{CGROUP}/cpu.max", "100000 100000")
        put(tmp_path / "sys/elsewhere/cpu.max", "1000 100000")
        assert quota_cores(tmp_path) == 1.0

    def test_mounted_at_an_unusual_place(self, tmp_path):
        put(tmp_path / "proc/self/cgroup", "0::/box")
        put_mount(tmp_path, "/", "/cgroup2", "cgroup2", "rw")
        put(tmp_path / "cgroup2/box/cpu.max", "100000 100000")
        assert quota_cores(tmp_path) == 1.0

    def test_a_set_of_cpus(self, tmp_path):
        put(tmp_path / "proc/self/cgroup", "0::/box")
        put(tmp_path / f"{CGROUP}/box/cpuset.cpus.effective", "2")
        assert cpuset_cores(tmp_path) == 1


@pytest.mark.parametrize("holder", ["v1", "v2"])
def test_both_versions_side_by_side(tmp_path, holder):
    put(tmp_path / "proc/self/cgroup", "4:cpu,cpuacct:/box\n0::/box")
    put_mount(tmp_path, "/", "/sys/fs/cgroup/unified", "cgroup2", "rw,nsdelegate")
    put_mount(tmp_path, "/", "/sys/fs/cgroup/cpu,cpuacct", "cgroup", "rw,cpu,cpuacct")
    if holder == "v1":
        put_v1(tmp_path / CGROUP / "cpu,cpuacct/box", 100_000)
    else:
        put(tmp_path / f"{CGROUP}/unified/box/cpu.max", "100000 100000")
    assert quota_cores(tmp_path) == 1.0


def test_the_tightest_limit_decides_how_many_threads(tmp_path, monkeypatch):
    monkeypatch.setattr(psutil, "cpu_count", lambda logical=True: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    put(tmp_path / f"{CGROUP}/cpuset.cpus.effective", "0-3")
    assert usable_cores(tmp_path) == 4
    put(tmp_path / f"{CGROUP}/cpu.max", "250000 100000")
    assert usable_cores(tmp_path) == 2


@pytest.mark.parametrize("text", ["", "0-", "a", "-", "0-x", "1 2"])
def test_a_list_of_cpus_that_is_none(tmp_path, text):
    put(tmp_path / f"{CGROUP}/cpuset.cpus", text)
    assert cpuset_cores(tmp_path) is None


@pytest.mark.parametrize("text", ["0 100000", "100000 0", "-1 100000", "x y"])
def test_a_quota_that_is_none(tmp_path, text):
    put(tmp_path / f"{CGROUP}/cpu.max", text)
    assert quota_cores(tmp_path) is None


def test_without_control_groups_there_is_no_limit(tmp_path):
    assert (quota_cores(tmp_path), cpuset_cores(tmp_path)) == (None, None)
