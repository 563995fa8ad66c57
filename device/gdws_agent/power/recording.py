"""A sensor at work while something is measured. What goes wrong with it costs the power figures, never the times."""

from __future__ import annotations

import logging
from types import TracebackType
from typing import Optional, Sequence, Type

from .base import Account, Sensor, SensorFailed, Trace, Unmeasured, Window

_LOG = logging.getLogger(__name__)


class Recording:
    """Reads ``sensor`` from entry to exit; afterwards accounts for any windows in between."""

    def __init__(self, sensor: Sensor) -> None:
        self._sensor = sensor
        self._trace: Optional[Trace] = None

    def __enter__(self) -> Recording:
        try:
            self._sensor.start()
        except Exception as error:
            self._trace = self._failed(error)
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        if self._trace is None:
            try:
                self._trace = self._sensor.stop()
            except Exception as failure:
                self._trace = self._failed(failure)

    def account(self, windows: Sequence[Window], *, inferences: int, batch_size: int) -> Account:
        """Return power and energy over ``windows``; see :class:`~gdws_agent.power.base.Trace`."""
        assert self._trace is not None, "the recording has not ended"
        try:
            return self._trace.account(windows, inferences=inferences, batch_size=batch_size)
        except Exception as error:
            return self._failed(error).account(windows, inferences=inferences, batch_size=batch_size)

    def _failed(self, error: Exception) -> Trace:
        if isinstance(error, SensorFailed):
            return Unmeasured(self._sensor.name, str(error))
        _LOG.exception("power sensor %s", self._sensor.name)
        return Unmeasured(self._sensor.name, f"the sensor failed: {type(error).__name__}: {error}")
