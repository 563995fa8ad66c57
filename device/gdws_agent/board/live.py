"""Live readings of the device: power, temperatures and clocks, for metrics and the dashboard.

All of it comes from files of the kernel: a second client of the jtop service would disturb a measurement. However
many ask, the files are read at most once in :data:`MIN_INTERVAL_S`.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Callable, Optional

import psutil

from gdws_agent.power.base import SensorFailed
from gdws_agent.power.ina3221 import measure, read_monitors
from gdws_agent.power.thermal import Conditions, Gauges
from gdws_agent.timestamps import utc_now
from gdws_contract.live import LiveClock, LivePower, LiveRail, LiveReadings, LiveTemperature

MIN_INTERVAL_S = 1.0
_SYSFS = Path("/sys")
_JTOP = "; jtop is read only while a job is measured"


class LiveBoard:
    """Reads one machine on demand. Thread-safe."""

    def __init__(
        self,
        sysfs: Path = _SYSFS,
        *,
        min_interval_s: float = MIN_INTERVAL_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sysfs = sysfs
        self._min_interval_s = min_interval_s
        self._clock = clock
        self._lock = threading.Lock()
        self._gauges: Optional[Gauges] = None
        self._last: Optional[LiveReadings] = None
        self._read_at_s = 0.0

    def read(self) -> LiveReadings:
        """Return current readings, or cached ones younger than the interval."""
        with self._lock:
            now_s = self._clock()
            if self._last is None or now_s - self._read_at_s >= self._min_interval_s:
                self._gauges = self._gauges or Gauges(self._sysfs)
                self._last = _readings(self._gauges.read(), read_power(self._sysfs))
                self._read_at_s = now_s
            return self._last


def read_power(sysfs: Path) -> LivePower:
    """Return the power that the monitors of a Jetson show; without any, or without a part of the total, the reason."""
    try:
        monitors = read_monitors(sysfs)
    except SensorFailed as error:
        return LivePower(reason=f"{error}{_JTOP}")
    rails_w, errors = measure(monitors.live)
    reasons = [*monitors.failures.values(), *(f"rail {rail} cannot be read: {error}" for rail, error in errors.items())]
    total_w = monitors.rule().total_w(rails_w)
    return LivePower(
        total_w=total_w,
        scope=monitors.rule().scope,
        reason=None if total_w is not None else f"{'; '.join(reasons)}{_JTOP}",
        rails=[LiveRail(name=name, power_w=watts) for name, watts in rails_w.items()],
    )


def _readings(seen: Conditions, power: LivePower) -> LiveReadings:
    return LiveReadings(
        read_at=utc_now(),
        power=power,
        temperatures=[LiveTemperature(name=name, celsius=value) for name, value in seen.temperatures_c.items()],
        temperatures_reason=None if seen.temperatures_c else "the kernel shows no thermal zone here",
        clocks=[
            LiveClock(name=name, mhz=value, limit_mhz=seen.limits_mhz.get(name))
            for name, value in seen.clocks_mhz.items()
        ],
        clocks_reason=None if seen.clocks_mhz else "the kernel shows no clock here, as in most virtual machines",
        held_back=[f"{name} (state {state})" for name, state in sorted(seen.caps.items()) if state > 0],
        load_average_1min=os.getloadavg()[0],
        memory_available_bytes=psutil.virtual_memory().available,
    )
