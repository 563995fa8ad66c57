"""Power from the INA3221 monitors on the module, and Thor's INA238, read directly from the kernel's files.

The kernel shows each channel's bus voltage (mV) and current (mA); their product is the power. JetPack 5 and
later show them below ``hwmon/hwmonN``, JetPack 4 below ``iio:deviceN``. The monitor converts its channels in
turn, over and over, and a file holds the last result: a reading speaks for the time since the conversion
before. This reaches tens of readings a second, where jtop gives one or two.
"""

from __future__ import annotations

import errno
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Protocol, Sequence, Union

from gdws_agent.periodic import Periodic
from gdws_contract.rest import Availability

from .base import SensorFailed, Trace
from .rails import TotalRule, total_rule
from .thermal import Conditions
from .trace import Reading, SampledTrace

#: Enough for windows of a second; each scan takes the interpreter from what is measured for a moment.
DEFAULT_INTERVAL_S = 0.1
#: Without ``update_interval``: three channels, two conversions of 1.1 ms each (data sheet, after reset).
CONVERSION_S = 0.0066


@dataclass(frozen=True)
class Channel:
    """One rail: files of voltage (mV) and current (mA)."""

    rail: str
    voltage: Path
    current: Path

    def read_w(self) -> float:
        """Return the power in watts.

        Raises:
            OSError: a file cannot be read. ValueError: it holds no number.
        """
        return int(self.voltage.read_text()) * int(self.current.read_text()) / 1e6


class ConditionsSource(Protocol):
    """What tells temperatures and clocks while power is read. Nothing of it raises."""

    def start(self) -> None:
        """Begin to collect."""

    def stop(self) -> None:
        """Stop collecting."""

    def read(self) -> Optional[Conditions]:
        """Return the latest; None while there is nothing."""


class Measured(NamedTuple):
    """The watts of each rail, and what was raised for those that could not be read."""

    rails_w: Dict[str, float]
    errors: Dict[str, Exception]


class Monitors(NamedTuple):
    """The channels that can be read now, and for each rail that cannot, why. One that is turned off is in neither."""

    live: List[Channel]
    failures: Dict[str, str]

    def rule(self) -> TotalRule:
        """Return how to reach the total from all rails of the board, whether they can be read or not."""
        return total_rule([*(channel.rail for channel in self.live), *self.failures])

    def check_total(self) -> None:
        """Raise SensorFailed where a part of the total cannot be read."""
        for rail in self.rule().parts:
            if rail in self.failures:
                raise SensorFailed(self.failures[rail])


class Ina3221Sensor:
    """Reads every rail in a thread of its own.

    The monitors tell power alone; ``beside`` tells temperatures and clocks that the kernel does not show here.
    """

    name = "ina3221"

    def __init__(
        self,
        sysfs: Path = Path("/sys"),
        interval_s: float = DEFAULT_INTERVAL_S,
        beside: Optional[ConditionsSource] = None,
    ) -> None:
        self._beside = beside
        self._sysfs = sysfs
        self._interval_s = interval_s
        self._channels: List[Channel] = []
        self._missed: Dict[str, str] = {}
        self._trouble: Optional[str] = None
        self._conversion_s = CONVERSION_S
        self._readings: List[Reading] = []
        self._thread: Optional[Periodic] = None

    @property
    def interval_s(self) -> Optional[float]:
        """The time between readings. Reading faster than the monitor converts would give each result twice."""
        return max(self._interval_s, self._conversion_s)

    def probe(self) -> Availability:
        """Return whether the files are there and can be read, with the rails and what the total covers."""
        try:
            monitors = read_monitors(self._sysfs)
            monitors.check_total()
        except SensorFailed as error:
            return Availability(name=self.name, available=False, reason=str(error))
        detail = {
            "rails": ", ".join(channel.rail for channel in monitors.live),
            "total": monitors.rule().scope,
            "interval_s": f"{self._interval_s:g}",
        }
        if monitors.failures:
            detail["unreadable"] = "; ".join(monitors.failures.values())
        return Availability(name=self.name, available=True, detail=detail)

    def start(self) -> None:
        """Start reading.

        Raises:
            SensorFailed: there are no monitors, or a part of the total cannot be read.
        """
        monitors = read_monitors(self._sysfs)
        monitors.check_total()
        self._channels, self._missed, self._trouble = monitors.live, dict(monitors.failures), None
        self._conversion_s = max(conversion_s(channel) for channel in self._channels)
        self._readings = []
        self._thread = Periodic(self._read, max(self._interval_s, self._conversion_s), "ina3221")
        self._thread.start()
        if self._beside is not None:
            self._beside.start()

    def stop(self) -> Trace:
        """Stop reading and return what was read."""
        if self._thread is None:
            return SampledTrace(self.name, [], "it was not started")
        self._thread.stop()
        self._thread = None
        if self._beside is not None:
            self._beside.stop()
        return SampledTrace(self.name, self._readings, self._trouble, self._missed)

    def conditions(self) -> Optional[Conditions]:
        """Return what the other source knows; None where there is none, for the monitors tell power alone."""
        return None if self._beside is None else self._beside.read()

    def _read(self) -> None:
        start_s = time.monotonic()
        rails_w, errors = measure(self._channels)
        for rail, error in errors.items():
            self._trouble = f"reading the INA3221 failed: {error}"
            self._missed[rail] = self._trouble
        self._readings.append(Reading(start_s - self._conversion_s, time.monotonic(), rails_w))


def read_monitors(sysfs: Path) -> Monitors:
    """Return what can be read now. A channel that fails takes no other with it.

    Raises:
        SensorFailed: there is no monitor, or nothing of them can be read.
    """
    channels = find_channels(sysfs)
    if not channels:
        raise SensorFailed(
            f"no INA3221 power monitor below {sysfs}/bus/i2c/devices: not a Jetson, or its kernel hides it"
        )
    rails_w, errors = measure(channels)
    live = [channel for channel in channels if channel.rail in rails_w]
    failures = {
        channel.rail: _explain(channel, errors[channel.rail])
        for channel in channels
        if channel.rail in errors and not _is_turned_off(errors[channel.rail])
    }
    if not live:
        raise SensorFailed(
            next(iter(failures.values()), f"every channel of the INA3221 power monitors below {sysfs} is turned off")
        )
    return Monitors(live, failures)


def measure(channels: Sequence[Channel]) -> Measured:
    """Read each of ``channels`` once; one that fails takes no other with it."""
    outcomes = {channel.rail: _outcome(channel) for channel in channels}
    return Measured(
        {rail: outcome for rail, outcome in outcomes.items() if not isinstance(outcome, Exception)},
        {rail: outcome for rail, outcome in outcomes.items() if isinstance(outcome, Exception)},
    )


def find_channels(sysfs: Path) -> List[Channel]:
    """Return the channels that the kernel shows, by device and number; unconnected ones are left out."""
    found: Dict[str, Channel] = {}
    for device in sorted(sysfs.glob("bus/i2c/devices/*")):
        for channel in _channels_of(device):
            # Two monitors can bear the same label; each then keeps its device's name.
            rail = channel.rail if channel.rail not in found else f"{channel.rail}@{device.name}"
            found[rail] = Channel(rail, channel.voltage, channel.current)
    return list(found.values())


def conversion_s(channel: Channel) -> float:
    """Return how long the monitor takes for one round of its channels, averaging included."""
    milliseconds = _text(channel.voltage.parent / "update_interval")
    return int(milliseconds) / 1e3 if milliseconds and milliseconds.isdigit() and int(milliseconds) else CONVERSION_S


def _channels_of(device: Path) -> List[Channel]:
    name = (_text(device / "name") or "").lower()
    if "ina3221" in name:
        return [*_hwmon_channels(device), *_iio_channels(device)]
    return _input_channels(device) if "ina238" in name else []


def _input_channels(device: Path) -> List[Channel]:
    """Return the channel of an INA238, which Thor has on its input alone; the kernel gives it no label of its own."""
    return [
        Channel(_text(folder / "label") or "VIN", folder / "in1_input", folder / "curr1_input")
        for folder in sorted(device.glob("hwmon/hwmon*"))
        if (folder / "in1_input").exists()
    ]


def _hwmon_channels(device: Path) -> List[Channel]:
    return [
        Channel(label, folder / f"in{number}_input", folder / f"curr{number}_input")
        for folder in sorted(device.glob("hwmon/hwmon*"))
        for number in (1, 2, 3)  # higher numbers are shunt voltages and their sum
        for label in [_text(folder / f"in{number}_label")]
        if label and label != "NC"
    ]


def _iio_channels(device: Path) -> List[Channel]:
    return [
        Channel(label, folder / f"in_voltage{number}_input", folder / f"in_current{number}_input")
        for folder in sorted(device.glob("iio:device*"))
        for number in (0, 1, 2)
        for label in [_text(folder / f"rail_name_{number}")]
        if label and label != "NC"
    ]


def _outcome(channel: Channel) -> Union[float, Exception]:
    try:
        return channel.read_w()
    except (OSError, ValueError) as error:
        return error


def _is_turned_off(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno == errno.ENODATA


def _explain(channel: Channel, error: Exception) -> str:
    if isinstance(error, ValueError):
        return f"the INA3221 does not give numbers for rail {channel.rail}: {error}"
    if isinstance(error, PermissionError):
        return (
            f"{error.filename} may not be read by this user; on the host: "
            f"sudo chmod a+r {channel.current.parent}/*_input, or measure with the jtop sensor"
        )
    return f"the INA3221 cannot be read: {error}"


def _text(path: Path) -> Optional[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0\n ")
    except OSError:
        return None
