"""The power sensors of this release, best first."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Dict, List, Optional

from gdws_contract.rest import Availability

from .base import Sensor, UnknownSensor
from .ina3221 import Ina3221Sensor
from .jtop import JtopConditions, JtopSensor
from .none import NoSensor

#: Makers, given the socket of the jtop service. The monitors themselves give ten readings for each that the
#: service passes on; the service, where it runs, adds the temperatures and clocks that they do not tell.
SENSORS: Dict[str, Callable[[Optional[Path]], Sensor]] = {
    Ina3221Sensor.name: lambda socket: Ina3221Sensor(beside=JtopConditions(socket)),
    JtopSensor.name: JtopSensor,
    NoSensor.name: lambda socket: NoSensor(),
}


def get(name: str, jtop_socket: Optional[Path] = None) -> Sensor:
    """Return the sensor called ``name``; without ``jtop_socket`` the environment tells where it is.

    Raises:
        UnknownSensor: there is none.
    """
    try:
        make = SENSORS[name]
    except KeyError:
        raise UnknownSensor(f"there is no power sensor {name!r}; known are {', '.join(SENSORS)}") from None
    return make(jtop_socket)


def probe_all(jtop_socket: Optional[Path] = None) -> List[Availability]:
    """Return the availability of every sensor, best first."""
    return [make(jtop_socket).probe() for make in SENSORS.values()]
