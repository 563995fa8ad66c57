"""A sensor at work while something is measured. What goes wrong with it costs the power figures, never the times."""

from __future__ import annotations

import logging
import time
from typing import Callable, List, Optional, Sequence

from .base import Account, Sensor, SensorFailed, Trace, Unmeasured, Window
from .energy import Sample, needed_duration_s

_LOG = logging.getLogger(__name__)


class Recording:
    """Reads ``sensor`` from start to stop; afterwards accounts for any windows in between."""

    def __init__(self, sensor: Sensor) -> None:
        self._sensor = sensor
        self._reading = False
        self._trace: Optional[Trace] = None
        self._idle: List[Window] = []

    def start(self) -> None:
        """Begin to read, unless it has begun."""
        if self._reading or self._trace is not None:
            return
        try:
            self._sensor.start()
            self._reading = True
        except Exception as error:
            self._trace = self._failed(error)

    def stop(self) -> None:
        """Stop reading, unless it has stopped."""
        if not self._reading:
            return
        self._reading = False
        try:
            self._trace = self._sensor.stop()
        except Exception as failure:
            self._trace = self._failed(failure)

    def needed_s(self, windows: int) -> float:
        """Return how long to measure, over all ``windows``, so that the readings suffice; 0 while nothing is read."""
        interval_s = self._sensor.interval_s if self._reading else None
        return 0.0 if interval_s is None else needed_duration_s(interval_s, windows)

    def rest(self, duration_s: float, sleep: Callable[[float], None] = time.sleep) -> None:
        """Do nothing for ``duration_s``, or as long as the sensor needs, and take that as the idle baseline.

        Returns at once when nothing is read.
        """
        needed_s = self.needed_s(1)
        if needed_s > 0:
            start_s = time.monotonic()
            sleep(max(duration_s, needed_s))
            self._idle.append(Window(start_s, time.monotonic()))

    def account(self, windows: Sequence[Window], *, inferences: int, batch_size: int) -> Account:
        """Return power and energy over ``windows``; see :class:`~gdws_agent.power.base.Trace`."""
        assert self._trace is not None, "the recording has not ended"
        try:
            return self._trace.account(windows, inferences=inferences, batch_size=batch_size, idle=self._idle)
        except Exception as error:
            return self._failed(error).account(windows, inferences=inferences, batch_size=batch_size)

    def readings(self) -> Sequence[Sample]:
        """Return what was read, in order of time; see :class:`~gdws_agent.power.base.Trace`."""
        assert self._trace is not None, "the recording has not ended"
        return self._trace.readings()

    def _failed(self, error: Exception) -> Trace:
        if isinstance(error, SensorFailed):
            return Unmeasured(self._sensor.name, str(error))
        _LOG.exception("power sensor %s", self._sensor.name)
        return Unmeasured(self._sensor.name, f"the sensor failed: {type(error).__name__}: {error}")
