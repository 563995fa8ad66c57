"""Power by the jtop service of jetson-stats 4.2 to 7.x.

The service reads all sensors of the board once or twice a second and then wakes its clients. Its answer bears
the uptime at which it began to read. So a reading was taken between that moment and its arrival here, some
tens of milliseconds later on a Jetson: that is the latency, and it is kept with each reading. Old data that a
client is handed again bears an old uptime, and is dropped.

``power`` is instantaneous and is used; ``avg`` is no average over time. The service's own total adds up
whatever there is, before jetson-stats 7.2 even USB-C supplies; here :mod:`~gdws_agent.power.rails` decides.
"""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Set

from gdws_agent.gpu_clocks import COMPUTE_CLOCK, clock_name
from gdws_agent.periodic import Periodic
from gdws_contract.rest import Availability
from gdws_contract.thermal import MEMORY_CLOCK

from . import jtop_client
from .base import SensorFailed, Trace
from .jtop_client import JtopFailed
from .rails import total_rule
from .thermal import Conditions
from .trace import Reading, SampledTrace

_LOG = logging.getLogger(__name__)

#: /proc/uptime counts in hundredths of a second, rounded down.
UPTIME_STEP_S = 0.01
#: Data older than this many intervals was read before the service stalled, or for a client long gone.
STALE_INTERVALS = 3.0
#: A connection without fresh data for this long, and for this many intervals, is made anew.
SILENCE_S = 3.0
SILENT_INTERVALS = 5.0
_SUPERVISE_S = 0.5
_HIGHEST_MHZ = 10_000


def reading_of(
    power: Mapping[str, Any], uptime_s: float, boot_to_monotonic_s: float, received_s: float, interval_s: float
) -> Optional[Reading]:
    """Return an answer of the service, read every ``interval_s``, as a reading; None when it is stale.

    ``power`` is ``jtop.power``. ``uptime_s`` is when the service began to read, in seconds since boot; with
    ``boot_to_monotonic_s`` added it is on the clock of ``time.monotonic``, as ``received_s`` is.
    """
    start_s = uptime_s + boot_to_monotonic_s
    if received_s - start_s > STALE_INTERVALS * interval_s:
        return None
    if start_s > received_s:
        # The service's clock is not this one's, as in a time namespace: all that is known is the interval.
        start_s = received_s - interval_s
    return Reading(start_s, received_s, rails_of(power))


def rails_of(power: Mapping[str, Any]) -> Dict[str, float]:
    """Return the watts of each rail in ``jtop.power`` that can be read, the one taken for the total included.

    Raises:
        KeyError: there are rails, and not one tells its power.
    """
    rails = _monitored(power)
    found = {name: rail["power"] / 1e3 for name, rail in rails.items() if _is_number(rail.get("power"))}
    if rails and not found:
        raise KeyError("power")
    return found


def missed_rails(power: Mapping[str, Any]) -> Set[str]:
    """Return the rails that ``jtop.power`` names without telling their power."""
    return set(_monitored(power)) - set(rails_of(power))


def _monitored(power: Mapping[str, Any]) -> Dict[str, Any]:
    rails = dict(power.get("rail", {}))
    total = power.get("tot", {})
    if "name" in total:
        rails[total["name"]] = total
    # Entries of other types are supplies such as USB-C ports: what was negotiated, not what a rail carries. A channel
    # that is turned off, which is not online, carries nothing that is told.
    return {
        name: rail
        for name, rail in rails.items()
        if str(rail.get("type", "INA")).startswith("INA") and rail.get("online", True)
    }


def conditions_of(client: Any, time_s: float) -> Conditions:
    """Return the temperatures and clocks that a ``jtop.jtop`` client holds; the memory clock is shown to no other.

    What cannot be understood is left out, each thing by itself; so is a clock of 0, by which the service tells that it
    does not know.
    """
    clocks: Dict[str, Any] = {}
    for node, gpu in client.gpu.items():
        name = clock_name(node) or COMPUTE_CLOCK
        clocks[name if name not in clocks else f"{name} {node}"] = _get(gpu, "freq", "cur")
    clocks[MEMORY_CLOCK] = _get(client.memory, "EMC", "cur")
    limit = _get(client.memory, "EMC", "max")  # with the cap of the power mode
    temperatures = {
        name: _get(sensor, "temp") for name, sensor in client.temperature.items() if _get(sensor, "online") is not False
    }
    return Conditions(
        time_s=time_s,
        temperatures_c={name: float(value) for name, value in temperatures.items() if _is_number(value)},
        clocks_mhz={name: to_mhz(value) for name, value in clocks.items() if _is_number(value) and value > 0},
        limits_mhz={MEMORY_CLOCK: to_mhz(limit)} if _is_number(limit) and limit > 0 else {},
    )


def to_mhz(frequency: float) -> float:
    """Return in MHz what is told in MHz, kHz or Hz: releases differ, for NVML counts in MHz where devfreq was in kHz.

    No clock of a running GPU or memory is below 10 MHz or above 10 GHz, so the figure itself tells its unit.
    """
    for unit_mhz in (1.0, 1e-3):
        if frequency * unit_mhz < _HIGHEST_MHZ:
            return frequency * unit_mhz
    return frequency * 1e-6


def _get(value: Any, *keys: str) -> Any:
    """Return what lies at ``keys``, one within the other; None where there is nothing.

    Some of jtop's values are dictionaries, some objects of its own that are read in the same way.
    """
    try:
        for key in keys:
            value = value[key]
    except (KeyError, TypeError):
        return None
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


class JtopSensor:
    """Collects what the service reads, and finds the service again after a restart."""

    name = "jtop"

    def __init__(self, socket: Optional[Path] = None) -> None:
        self._socket = socket or jtop_client.socket_path()
        self._session: Optional[_Session] = None

    @property
    def interval_s(self) -> Optional[float]:
        """The time between readings, in seconds: what the service says once started, until then what is asked for."""
        return jtop_client.INTERVAL_S if self._session is None else self._session.interval_s

    def probe(self) -> Availability:
        """Return whether the service answers and knows power rails. Connects, for a second or so."""
        version = jtop_client.installed_version()
        session = _Session(self._socket)
        try:
            session.open()
            session.check_rails()
            return Availability(name=self.name, available=True, version=version, detail=session.describe())
        except JtopFailed as error:
            return Availability(name=self.name, available=False, version=version, reason=str(error))
        finally:
            session.close()

    def start(self) -> None:
        """Begin to collect.

        Raises:
            SensorFailed: the service does not answer, or knows no power rails.
        """
        session = _Session(self._socket)
        try:
            session.open()
            session.check_rails()
        except JtopFailed as error:
            session.close()
            raise SensorFailed(str(error)) from error
        session.supervise()
        self._session = session

    def stop(self) -> Trace:
        """Stop collecting and return what was collected."""
        session, self._session = self._session, None
        if session is None:
            return SampledTrace(self.name, [], "it was not started")
        session.close()
        return SampledTrace(self.name, session.readings, session.trouble, session.missed)

    def conditions(self) -> Optional[Conditions]:
        """Return the latest temperatures and clocks that the service told; None while there are none."""
        return None if self._session is None else self._session.conditions


class JtopConditions:
    """The service's temperatures and clocks alone, for a sensor that reads power elsewhere.

    The memory clock is among them, which the kernel shows to root alone. Without the service there are none.
    """

    def __init__(self, socket: Optional[Path] = None) -> None:
        self._socket = socket or jtop_client.socket_path()
        self._session: Optional[_Session] = None

    def start(self) -> None:
        """Begin to collect, where the service answers."""
        session = _Session(self._socket)
        try:
            session.open()
        except JtopFailed as error:
            session.close()
            _LOG.info("no conditions by jtop: %s", error)
            return
        session.supervise()
        self._session = session

    def stop(self) -> None:
        """Stop collecting."""
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def read(self) -> Optional[Conditions]:
        """Return the latest conditions; None while there are none."""
        return None if self._session is None else self._session.conditions


class _Session:
    """A connection that is made anew when it breaks, and what came over it.

    ``_on_beat`` runs in the client's thread and must not raise: that would end the thread.
    """

    def __init__(self, socket: Path) -> None:
        self.readings: List[Reading] = []
        self.missed: Set[str] = set()
        self.conditions: Optional[Conditions] = None
        self.trouble: Optional[str] = None
        self.interval_s = jtop_client.INTERVAL_S
        self._socket = socket
        self._client: Any = None
        self._supervisor: Optional[Periodic] = None
        self._first_beat = threading.Event()
        self._heard_s = time.monotonic()
        self._last_uptime_s = 0.0
        self._boot_to_monotonic_s = time.monotonic() - time.clock_gettime(time.CLOCK_BOOTTIME)

    def open(self) -> None:
        """Connect and wait for the first fresh answer.

        Raises:
            JtopFailed: there is no connection, or no answer.
        """
        self._connect(jtop_client.ANSWER_TIMEOUT_S)
        if not self._first_beat.wait(jtop_client.ANSWER_TIMEOUT_S):
            raise JtopFailed(
                f"the jtop service at {self._socket} gives no fresh data{f': {self.trouble}' if self.trouble else ''}",
                jtop_client.RESTART,
            )

    def check_rails(self) -> None:
        """Raise JtopFailed where the first answer has no power rail."""
        if not self.readings[-1].rails_w:
            raise JtopFailed("the jtop service reports no power rails", "this board has no power monitor that it reads")

    def supervise(self) -> None:
        """Look after the connection from now on."""
        self._supervisor = Periodic(self._look_after, _SUPERVISE_S, "jtop-supervisor")
        self._supervisor.start()

    def close(self) -> None:
        """Let the connection go."""
        if self._supervisor is not None:
            self._supervisor.stop()
        self._disconnect()

    def describe(self) -> Dict[str, str]:
        """Return what is known of the service and its board, in words."""
        rails = list(self.readings[-1].rails_w)
        hardware = self._client.board.get("hardware", {})
        known = {
            "rails": ", ".join(rails),
            "total": total_rule(rails).scope,
            "interval_s": f"{self.interval_s:g}",
            "module": hardware.get("Module"),
            "l4t": hardware.get("L4T"),
            "simulated": hardware.get("Simulated"),
            "power_modes": ", ".join(getattr(getattr(self._client, "nvpmodel", None), "models", [])),
        }
        return {name: str(value) for name, value in known.items() if value}

    def _connect(self, timeout_s: float) -> None:
        self._client = jtop_client.connect(self._socket, self._on_beat, timeout_s)
        self.interval_s = float(self._client.interval)
        self._heard_s = time.monotonic()

    def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.detach(self._on_beat)
            jtop_client.disconnect(client)

    def _look_after(self) -> None:
        fault = self._fault()
        if fault is None:
            return
        self.trouble = fault
        self._disconnect()
        try:
            self._connect(SILENCE_S)
        except JtopFailed as error:
            self.trouble = str(error)

    def _fault(self) -> Optional[str]:
        """Return what is wrong with the connection, or None."""
        if self._client is None:
            return self.trouble
        try:
            if not self._client.ok(spin=True) or not self._client.is_alive():
                return "the connection to the jtop service ended"
        except Exception as error:
            return f"the connection to the jtop service broke: {jtop_client.words(error)}"
        silent_s = time.monotonic() - self._heard_s
        if silent_s > max(SILENCE_S, SILENT_INTERVALS * self.interval_s):
            return f"the jtop service gave no fresh data for {silent_s:.0f} s"
        return None

    def _on_beat(self, client: Any) -> None:
        try:
            self._take(client, time.monotonic())
        except Exception as error:
            self.trouble = f"the jtop service sent an invalid response: {jtop_client.words(error)}"

    def _take(self, client: Any, received_s: float) -> None:
        uptime_s = client.uptime.total_seconds()
        reading = reading_of(client.power, uptime_s, self._boot_to_monotonic_s, received_s, float(client.interval))
        if reading is None or uptime_s <= self._last_uptime_s:
            return
        self._last_uptime_s = uptime_s
        self._heard_s = received_s
        self.readings.append(reading)
        self.missed |= missed_rails(client.power)
        self._first_beat.set()
        self.conditions = conditions_of(client, received_s)
