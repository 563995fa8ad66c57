"""On which device and how a network is to run, and how exactly that is measured."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from gdws.errors import DeviceError, GdwsError
from gdws_contract.engines import EngineOptions
from gdws_contract.power_modes import in_words, matching, refusal
from gdws_contract.queueing import Limits
from gdws_contract.rest import DeviceInfo, PowerMode

#: Engines of which the last measurement takes the median one, where a build is a matter of luck.
CONFIRMING_BUILDS = 3
#: What agents list as a sensor that measures nothing.
_NO_SENSOR = "none"


@dataclass(frozen=True)
class BoardState:
    """A power mode, by name or number, and whether clocks are fixed; None leaves a thing as it is."""

    power_mode: PowerMode | None = None
    jetson_clocks: bool | None = None

    def words(self) -> str:
        """E.g. ``power mode MODE_15W, clocks fixed``."""
        mode = "the current power mode" if self.power_mode is None else f"power mode {self.power_mode}"
        clocks = {None: "", True: ", clocks fixed", False: ", clocks free"}[self.jetson_clocks]
        return f"{mode}{clocks}"


def all_power_modes(device: DeviceInfo, url: str) -> list[PowerMode]:
    """The names of the power modes of ``device``; raises :class:`~gdws.errors.DeviceError` if it tells none."""
    modes = _told_modes(device)
    if not modes:
        raise DeviceError(
            "the device does not tell its power modes", url=url, hint="name them, e.g. --power-modes MAXN,MODE_15W"
        )
    return [*modes]


def named_power_mode(device: DeviceInfo, asked: PowerMode, url: str) -> PowerMode:
    """The name of the mode that ``asked`` means on ``device``; ``asked`` itself where the device tells no modes.

    Raises :class:`~gdws.errors.DeviceError` if it means none of them, or several.
    """
    modes = _told_modes(device)
    if not modes:
        return asked
    found = matching(asked, modes)
    if len(found) == 1:
        return found[0]
    raise DeviceError(f"the device has {refusal(asked, found)}", url=url, hint=f"its modes are {in_words(modes)}")


def _told_modes(device: DeviceInfo) -> list[str]:
    """The names of the power modes by number; empty if the device does not tell them."""
    told = (sensor.detail.get("power_modes", "") for sensor in device.power_sensors)
    modes = next((modes for modes in told if modes), "")
    return [mode.strip() for mode in modes.split(",")] if modes else []


def require_energy(device: DeviceInfo) -> None:
    """Raise :class:`~gdws.errors.GdwsError` if ``device`` has no power sensor: before anything is fitted for it."""
    if any(sensor.available and sensor.name != _NO_SENSOR for sensor in device.power_sensors):
        return
    told = "; ".join(f"{sensor.name}: {sensor.reason}" for sensor in device.power_sensors if sensor.reason)
    raise GdwsError(
        f"the device measures no energy{f' ({told})' if told else ''}",
        hint="ask for a latency, or measure on a board with a power sensor",
    )


@dataclass(frozen=True)
class Setting:
    """``threads`` is None for one on each physical core, ``auto`` for as many as suit the network best.

    ``protocol`` has fields of :class:`gdws_contract.rest.Protocol` that are not to be the defaults."""

    backend: str
    precision: str = "fp32"
    batch_size: int = 1
    threads: int | Literal["auto"] | None = None
    power_mode: PowerMode | None = None
    jetson_clocks: bool | None = None
    engine: EngineOptions = field(default_factory=EngineOptions)
    protocol: tuple[tuple[str, Any], ...] = ()
    priority: int = 0
    limits: Limits = field(default_factory=Limits)
    profile_iterations: int = 50

    def words(self) -> str:
        """E.g. ``onnxruntime, fp32, batch 1, 2 threads``."""
        parts = [self.backend, self.precision, f"batch {self.batch_size}"]
        parts += [] if self.threads is None else ["1 thread" if self.threads == 1 else f"{self.threads} threads"]
        parts += [] if self.power_mode is None else [f"power mode {self.power_mode}"]
        parts += [] if self.jetson_clocks is None else ["clocks fixed" if self.jetson_clocks else "clocks free"]
        return ", ".join(parts)

    def key(self) -> dict[str, Any]:
        """What times depend on, as JSON values; how long and with which priority is measured is not among it."""
        fields = asdict(self)
        for name in ("engine", "priority", "limits", "protocol", "profile_iterations"):
            del fields[name]
        return {**fields, "engine": self.engine.model_dump(mode="json")}


def choose_backend(device: DeviceInfo, wanted: str | None, precision: str, url: str) -> str:
    """The backend that is asked for, or the best of the device that runs in ``precision``.

    Raises :class:`~gdws.errors.DeviceError` if there is none.
    """
    usable = [each for each in device.backends if each.available and precision in each.precisions]
    for each in usable:
        if wanted in (None, each.name):
            return each.name
    what = "no backend" if wanted is None else f"backend {wanted!r} does not run here, or not"
    known = ", ".join(each.name for each in usable) or "none"
    raise DeviceError(f"{what} in {precision}", url=url, hint=f"these do: {known}")


def fingerprint(device: DeviceInfo, setting: Setting) -> str:
    """Names the device with all that times on it depend on beside the network: never the same for two devices."""
    versions = {each.name: [each.version, each.detail] for each in device.backends}
    machine = [device.hostname, device.machine, device.cpu_model, device.board, device.l4t, device.kernel]
    content = json.dumps([machine, device.logical_cores, versions[setting.backend], setting.key()], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]
