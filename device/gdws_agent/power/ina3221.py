"""Power from the INA3221 monitors on the module, read directly from the kernel's files.

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
from typing import Dict, List, Optional

from gdws_agent.periodic import Periodic
from gdws_contract.rest import Availability

from .base import SensorFailed, Trace
from .rails import total_rule
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


class Ina3221Sensor:
    """Reads every rail in a thread of its own."""

    name = "ina3221"

    def __init__(self, sysfs: Path = Path("/sys"), interval_s: float = DEFAULT_INTERVAL_S) -> None:
        self._sysfs = sysfs
        self._interval_s = interval_s
        self._channels: List[Channel] = []
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
            rails = [channel.rail for channel in live_channels(self._sysfs)]
        except SensorFailed as error:
            return Availability(name=self.name, available=False, reason=str(error))
        detail = {"rails": ", ".join(rails), "total": total_rule(rails).scope, "interval_s": f"{self._interval_s:g}"}
        return Availability(name=self.name, available=True, detail=detail)

    def start(self) -> None:
        """Begin to read.

        Raises:
            SensorFailed: there are no monitors, or their files cannot be read.
        """
        self._channels = live_channels(self._sysfs)
        self._conversion_s = max(conversion_s(channel) for channel in self._channels)
        self._readings = []
        self._thread = Periodic(self._read, max(self._interval_s, self._conversion_s), "ina3221")
        self._thread.start()

    def stop(self) -> Trace:
        """Stop reading and return what was read."""
        if self._thread is None:
            return SampledTrace(self.name, [], "it was not started")
        self._thread.stop()
        fault = self._thread.fault
        trouble = None if fault is None else f"reading the INA3221 failed: {fault}"
        self._thread = None
        return SampledTrace(self.name, self._readings, trouble)

    def conditions(self) -> Optional[Conditions]:
        """Return None: the monitors tell power alone."""
        return None

    def _read(self) -> None:
        start_s = time.monotonic()
        rails_w = {channel.rail: channel.read_w() for channel in self._channels}
        self._readings.append(Reading(start_s - self._conversion_s, time.monotonic(), rails_w))


def live_channels(sysfs: Path) -> List[Channel]:
    """Return the channels that can be read now; one that the board leaves unconnected or turns off is not.

    Raises:
        SensorFailed: there is none, or a file may not be read.
    """
    channels = find_channels(sysfs)
    if not channels:
        raise SensorFailed(
            f"no INA3221 power monitor below {sysfs}/bus/i2c/devices: this is no Jetson, or its kernel does not show it"
        )
    live = [channel for channel in channels if _gives_power(channel)]
    if not live:
        raise SensorFailed(f"every channel of the INA3221 power monitors below {sysfs} is turned off")
    return live


def find_channels(sysfs: Path) -> List[Channel]:
    """Return the channels that the kernel shows, by device and number; unconnected ones are left out."""
    found: Dict[str, Channel] = {}
    for device in sorted(sysfs.glob("bus/i2c/devices/*")):
        if not (_text(device / "name") or "").startswith("ina3221"):
            continue
        for channel in [*_hwmon_channels(device), *_iio_channels(device)]:
            # Two monitors can bear the same label; each then keeps its device's name.
            rail = channel.rail if channel.rail not in found else f"{channel.rail}@{device.name}"
            found[rail] = Channel(rail, channel.voltage, channel.current)
    return list(found.values())


def conversion_s(channel: Channel) -> float:
    """Return how long the monitor takes for one round of its channels, averaging included."""
    milliseconds = _text(channel.voltage.parent / "update_interval")
    return int(milliseconds) / 1e3 if milliseconds and milliseconds.isdigit() and int(milliseconds) else CONVERSION_S


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


def _gives_power(channel: Channel) -> bool:
    try:
        channel.read_w()
    except OSError as error:
        if error.errno == errno.ENODATA:  # what the kernel answers for a channel that is turned off
            return False
        if isinstance(error, PermissionError):
            raise SensorFailed(
                f"{error.filename} may not be read by this user; on the host: "
                f"sudo chmod a+r {channel.voltage.parent}/*_input, or measure with the jtop sensor"
            ) from error
        raise SensorFailed(f"the INA3221 cannot be read: {error}") from error
    except ValueError as error:
        raise SensorFailed(f"the INA3221 does not give numbers for rail {channel.rail}: {error}") from error
    return True


def _text(path: Path) -> Optional[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0\n ")
    except OSError:
        return None
