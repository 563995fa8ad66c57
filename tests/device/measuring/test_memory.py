import mmap
import sys

import pytest

from gdws_agent.backends.base import DeviceMemory
from gdws_agent.measuring.memory import PeakGauge, Resident, Tally

MIB = 2**20


class FakeGauge:
    """Resident memory as a test sets it; the peak follows until it is set back."""

    can_reset = True

    def __init__(self, now_mib):
        self.now = self.peak = now_mib * MIB
        self.files = 0

    def grow(self, mib, files=0):
        self.now += (mib + files) * MIB
        self.files += files * MIB
        self.peak = max(self.peak, self.now)

    def reset(self):
        self.peak = self.now

    def read(self):
        return Resident(self.now, self.peak, self.files)


def test_the_peak_is_that_of_a_process_with_this_network_alone():
    gauge = FakeGauge(100)
    first, second = Tally(gauge, gauge.read()), Tally(gauge, gauge.read())
    with first.stage():  # takes 50 MiB to build, and holds 20
        gauge.grow(50)
        gauge.grow(-30)
    with second.stage():
        gauge.grow(10)
    with first.stage():  # 5 MiB more while it runs
        gauge.grow(5)
    with second.stage():
        gauge.grow(40)
    assert first.memory(False, None).host_peak_bytes == 150 * MIB
    assert second.memory(False, None).host_peak_bytes == 150 * MIB  # 100 + the 10 that it holds + 40
    assert second.memory(False, None).total_peak_bytes == 150 * MIB


def test_memory_that_is_given_back_is_not_held():
    gauge = FakeGauge(100)
    tally = Tally(gauge, gauge.read())
    with tally.stage():
        gauge.grow(30)
    with tally.stage():
        gauge.grow(-30)
    with tally.stage():
        gauge.grow(10)
    assert tally.memory(False, None).host_peak_bytes == 130 * MIB


def test_code_of_libraries_counts_for_each_network_whichever_touched_it_first():
    gauge = FakeGauge(100)
    first, second = Tally(gauge, gauge.read()), Tally(gauge, gauge.read())
    for tally, files in ((first, 25), (second, 0)):
        with tally.stage():
            gauge.grow(10, files=files)
    assert first.memory(False, None).host_peak_bytes == 135 * MIB
    assert second.memory(False, None).host_peak_bytes == 135 * MIB


@pytest.mark.parametrize(
    ("on_device", "device", "peak", "total", "reason"),
    [
        (False, None, None, 110, "the backend runs on the CPU"),
        (True, None, None, None, "the runtime does not tell"),
        (True, DeviceMemory(7 * MIB, "told"), 7, 117, None),
    ],
)
def test_device_memory_is_added_where_it_is_known(on_device, device, peak, total, reason):
    gauge = FakeGauge(100)
    tally = Tally(gauge, gauge.read())
    with tally.stage():
        gauge.grow(10)
    found = tally.memory(on_device, device)
    assert found.device_peak_bytes == (None if peak is None else peak * MIB)
    assert found.total_peak_bytes == (None if total is None else total * MIB)
    assert found.device_reason == reason


def test_a_kernel_that_does_not_set_peaks_back_leaves_the_host_unknown(tmp_path):
    (tmp_path / "status").write_text("Name:\tworker\nVmHWM:\t  200 kB\nVmRSS:\t  100 kB\nRssFile:\t   30 kB\n")
    gauge = PeakGauge(tmp_path)
    assert gauge.read() == Resident(100 * 1024, 200 * 1024, 30 * 1024)
    tally = Tally(gauge, gauge.read())
    with tally.stage():
        pass
    found = tally.memory(False, None)
    assert (found.host_peak_bytes, found.total_peak_bytes) == (None, None)
    assert "clear_refs" in found.host_reason


@pytest.mark.parametrize(
    "status", [None, "", "VmRSS: many kB\nVmHWM: 1 kB\n", "VmRSS:\nVmHWM:\n", "VmRSS: 2 kB\nVmHWM: 2 kB\n"]
)
def test_a_status_that_cannot_be_read_is_unknown(tmp_path, status):
    if status is not None:
        (tmp_path / "status").write_text(status)
    assert PeakGauge(tmp_path).read() is None


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_real_peak_is_seen_and_set_back():
    gauge = PeakGauge()
    if not gauge.can_reset:
        pytest.skip("this kernel does not set peaks back")
    base = gauge.read()
    first, second = Tally(gauge, base), Tally(gauge, base)
    with first.stage(), mmap.mmap(-1, 64 * MIB) as block:
        block.write(b"x" * (64 * MIB))
    with second.stage():
        pass
    assert first.memory(False, None).host_peak_bytes - base.now >= 64 * MIB
    assert second.memory(False, None).host_peak_bytes - base.now < 64 * MIB
