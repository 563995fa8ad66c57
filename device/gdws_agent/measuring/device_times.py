"""Inference times by the device's own clock, for runtimes with device events.

Reading the events takes time, and between two inferences even a few microseconds let the device rest. So the
inferences that the host times are left alone: right after each measured window, while caches and clocks are
as it left them, some more are run for the device's clock, and the windows of time and power know nothing of them.
"""

from __future__ import annotations

import math
import statistics
import time
from typing import Callable, List, Optional, Sequence

from gdws_agent.backends.base import DeviceTimes
from gdws_contract.measures import DeviceLatency, TimeSummary

#: Ten after each of ten windows give a hundred; slow networks are not run for longer than this after a window.
INFERENCES = 10
MAX_S = 0.25


def time_on_device(step: Callable[[], object], read: Callable[[], DeviceTimes]) -> List[DeviceTimes]:
    """Run ``step`` several times, at least once, and return the result of ``read`` for each."""
    deadline = time.monotonic() + MAX_S
    times: List[DeviceTimes] = []
    while not times or (len(times) < INFERENCES and time.monotonic() < deadline):
        step()
        times.append(read())
    return times


def summarise(times: Sequence[DeviceTimes]) -> Optional[DeviceLatency]:
    """Return the three parts of the inferences in ``times``; None when there are none."""
    if not times:
        return None
    return DeviceLatency(
        count=len(times),
        h2d=_summary([each.h2d_ms for each in times]),
        compute=_summary([each.compute_ms for each in times]),
        d2h=_summary([each.d2h_ms for each in times]),
    )


def _summary(values_ms: Sequence[float]) -> TimeSummary:
    return TimeSummary(
        min_ms=min(values_ms),
        mean_ms=math.fsum(values_ms) / len(values_ms),
        median_ms=statistics.median(values_ms),
        max_ms=max(values_ms),
    )
