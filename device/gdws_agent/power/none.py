"""The sensor of machines that have none."""

from __future__ import annotations

from gdws_contract.rest import Availability

from .base import Trace, Unmeasured

REASON = "no power sensor was used: this machine has none that the agent can read"


class NoSensor:
    """Always there, and reads nothing."""

    name = "none"

    def probe(self) -> Availability:
        """Return that it can be used."""
        return Availability(name=self.name, available=True, detail={"measures": "nothing"})

    def start(self) -> None:
        """Do nothing."""

    def stop(self) -> Trace:
        """Return a trace without figures."""
        return Unmeasured(self.name, REASON)
