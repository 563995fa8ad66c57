"""The availability of backends and sensors, probed once: drivers and packages do not change while an agent runs.

A file or a package that could not be opened for want of a descriptor looks like one that is not there. So an answer
counts only if there were enough of them before and after; else there is none, and whoever comes next asks again.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Callable, List, Optional, Sequence

from gdws_contract.rest import Availability

from .descriptors import require_spare

Probe = Callable[[], Sequence[Availability]]

NO_SENSOR = "none"


class Probes:
    """The availability of backends and power sensors, best first. Safe for use from any thread.

    All methods raise OSError as long as nothing was found out yet and the process has no descriptors left.
    """

    def __init__(self, backends: Probe, power_sensors: Probe) -> None:
        self._backends = _Once(backends)
        self._power_sensors = _Once(power_sensors)

    def backends(self) -> List[Availability]:
        """Return every backend that the agent knows."""
        return self._backends.result()

    def power_sensors(self) -> List[Availability]:
        """Return every power sensor that the agent knows."""
        return self._power_sensors.result()

    def simulated(self) -> bool:
        """Return whether a sensor says that the board which it reads is simulated."""
        return any(sensor.detail.get("simulated") == "true" for sensor in self.power_sensors())

    def best_power_sensor(self) -> str:
        """Return the name of the sensor to measure with; ``none`` where there is none."""
        return next((sensor.name for sensor in self.power_sensors() if sensor.available), NO_SENSOR)


class _Once:
    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._lock = threading.Lock()
        self._result: Optional[List[Availability]] = None

    def result(self) -> List[Availability]:
        with self._lock:
            if self._result is None:
                require_spare()
                found = list(self._probe())
                require_spare()
                self._result = found
            return list(self._result)


def system_probes(jtop_socket: Optional[Path] = None) -> Probes:
    """Return the probes of the backends and sensors that this release has."""
    from gdws_agent.backends import registry as backends
    from gdws_agent.power import registry as power

    return Probes(backends.probe_all, lambda: power.probe_all(jtop_socket))
