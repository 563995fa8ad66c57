"""What a gate says in the end, of each device and over all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gdws.gate.verdicts import EXIT_CODES, Outcome, Verdict, overall

#: What the command returns where a device or its agent could not serve.
UNAVAILABLE = 3


@dataclass(frozen=True)
class DeviceReport:
    """One device. ``error`` says why it could not serve, or not to the end; then ``outcome`` is None.

    ``notes`` are what a reader should know of the verdicts. ``finished_runs`` are kept as ``run-N.json`` in ``folder``.
    """

    device: str
    url: str
    outcome: Outcome | None
    error: str | None
    verdicts: tuple[Verdict, ...]
    notes: tuple[str, ...]
    environment: dict[str, str | None]
    finished_runs: int
    duration_s: float


@dataclass(frozen=True)
class GateReport:
    """All devices. ``candidate`` and ``baseline`` name what was compared; ``baseline`` is None if there was none."""

    candidate: str
    baseline: str | None
    started_at: str
    devices: tuple[DeviceReport, ...]

    @property
    def outcome(self) -> Outcome | None:
        """Over all devices; None where nothing failed but a device could not serve."""
        return overall_outcome(self.devices)

    @property
    def exit_code(self) -> int:
        """0 PASS, 1 FAIL, 2 INCONCLUSIVE, 3 a device could not serve."""
        return UNAVAILABLE if self.outcome is None else EXIT_CODES[self.outcome]

    @property
    def word(self) -> str:
        """The outcome in a word."""
        return self.outcome or "UNAVAILABLE"


def overall_outcome(devices: Sequence[DeviceReport]) -> Outcome | None:
    """A FAIL is shown wherever it is; without one, a device that could not serve leaves the verdict unknown."""
    known = [device.outcome for device in devices if device.outcome is not None]
    if "FAIL" in known or len(known) == len(devices):
        return overall(known)
    return None
