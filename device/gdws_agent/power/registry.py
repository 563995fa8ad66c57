"""The power sensors of this release, best first."""

from __future__ import annotations

from typing import Callable, Dict, List

from gdws_contract.rest import Availability

from .base import Sensor, UnknownSensor
from .ina3221 import Ina3221Sensor
from .jtop import JtopSensor
from .none import NoSensor

#: The monitors themselves give ten readings for each that jtop's service passes on.
SENSORS: Dict[str, Callable[[], Sensor]] = {
    Ina3221Sensor.name: Ina3221Sensor,
    JtopSensor.name: JtopSensor,
    NoSensor.name: NoSensor,
}


def get(name: str) -> Sensor:
    """Return the sensor called ``name``.

    Raises:
        UnknownSensor: there is none.
    """
    try:
        return SENSORS[name]()
    except KeyError:
        raise UnknownSensor(f"there is no power sensor {name!r}; known are {', '.join(SENSORS)}") from None


def probe_all() -> List[Availability]:
    """Return the availability of every sensor, best first."""
    return [make().probe() for make in SENSORS.values()]
