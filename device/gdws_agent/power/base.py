"""The interface of power sensors.

A :class:`Sensor` reads from ``start`` to ``stop``. The :class:`Trace` that it gives is then asked about each
variant's own windows. Every sensor passes one test suite, tests/device/power/test_conformance.py.
"""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Protocol, Sequence

from gdws_contract.measures import Flag, Power
from gdws_contract.rest import Availability

from .energy import Sample, Window
from .thermal import Conditions

__all__ = ["Account", "Sensor", "SensorFailed", "Trace", "UnknownSensor", "Unmeasured", "Window"]


class SensorFailed(Exception):
    """A sensor cannot be read; the message says why and what would help."""


class UnknownSensor(Exception):
    """There is no sensor with that name."""


class Account(NamedTuple):
    """Power and energy over some windows, and their flags."""

    power: Power
    flags: List[Flag]


class Trace(Protocol):
    """What a sensor read between its start and its stop."""

    def readings(self) -> Sequence[Sample]:
        """Return the total and the rails over time, in order; none where no total is known."""

    def account(
        self, windows: Sequence[Window], *, inferences: int, batch_size: int, idle: Sequence[Window] = ()
    ) -> Account:
        """Return power and energy over ``windows``, in which ``inferences`` runs of ``batch_size`` images were made.

        The windows lie between start and stop, in order of time, and do not overlap. In those of ``idle`` nothing
        ran; net energy is above their power. What the readings do not support is None, and ``power.reason``
        says why.
        """


class Sensor(Protocol):
    """One way to read power on this device. It reads in the background and disturbs what it measures little."""

    name: str

    @property
    def interval_s(self) -> Optional[float]:
        """The time between readings, exact once it has started; None for one that reads nothing."""

    def probe(self) -> Availability:
        """Return whether the sensor can be read here, and if not, why and what would help. Cheap."""

    def start(self) -> None:
        """Start reading.

        Raises:
            SensorFailed: it cannot be read. There is nothing to stop then.
        """

    def stop(self) -> Trace:
        """Stop reading and return what was read, however little that is."""

    def conditions(self) -> Optional[Conditions]:
        """Return current temperatures and clocks, or None if the sensor has none."""


class Unmeasured:
    """The trace of a sensor that read nothing: no figures, and the reason."""

    def __init__(self, sensor: str, reason: str) -> None:
        self._power = Power(sensor=sensor, reason=reason)

    def readings(self) -> Sequence[Sample]:
        """Return nothing."""
        return ()

    def account(
        self, windows: Sequence[Window], *, inferences: int, batch_size: int, idle: Sequence[Window] = ()
    ) -> Account:
        """Return a power without figures."""
        return Account(self._power, [])
