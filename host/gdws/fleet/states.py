"""How far each device of a sweep is."""

from __future__ import annotations

from enum import Enum

from pydantic import Field

from gdws_contract.base import Reading


class Phase(str, Enum):
    """What happens to a device."""

    WAITING = "waiting"
    MEASURING = "measuring"
    RETRYING = "retrying"
    SET_ASIDE = "set aside"
    CANCELLED = "cancelled"
    DONE = "done"

    @property
    def is_final(self) -> bool:
        """Whether nothing more happens until the sweep is resumed."""
        return self in (Phase.SET_ASIDE, Phase.CANCELLED, Phase.DONE)


class Tally(Reading):
    """What came of a device's jobs so far."""

    jobs: int = 0
    cells: int = 0
    failed_cells: int = 0
    not_measured: dict[str, str] = Field(default_factory=dict, description="Job -> the reason.")


class DeviceState(Reading):
    """Where a device stands; kept with its workflow, so that every coordinator and ``gdws fleet status`` can see it."""

    phase: Phase = Phase.WAITING
    tally: Tally = Field(default_factory=Tally)
    job: str | None = Field(None, description="The current job.")
    job_cells: int = Field(0, description="Its cells that are measured.")
    job_cells_total: int | None = None
    reason: str | None = Field(None, description="Why the device is retried or set aside.")
    failures: int = Field(0, description="Tries in a row that failed.")
    next_try: str | None = Field(None, description="UTC, ISO 8601.")
    identity: dict[str, str] = Field(default_factory=dict, description="What tells the machine from others.")
