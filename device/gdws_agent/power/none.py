"""The sensor of machines that have none."""

from __future__ import annotations

from typing import Optional

from gdws_contract.rest import Availability

from .base import Trace, Unmeasured
from .thermal import Conditions

REASON = "no power sensor was used: this machine has none that the agent can read"


class NoSensor:
    """Always there, and reads nothing."""

    name = "none"
    interval_s: Optional[float] = None

    def probe(self) -> Availability:
        """Return that it can be used."""
        return Availability(name=self.name, available=True, detail={"measures": "nothing"})

    def start(self) -> None:
        """Do nothing."""

    def stop(self) -> Trace:
        """Return a trace without figures."""
        return Unmeasured(self.name, REASON)

    def conditions(self) -> Optional[Conditions]:
        """Return None."""
        return None
