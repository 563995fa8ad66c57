"""Temperatures and clocks during a measurement."""

from __future__ import annotations

from typing import List, Optional

from pydantic import Field

from .base import Finite, NonNegative, Reading

#: The name of the memory clock (external memory controller) among the clocks.
MEMORY_CLOCK = "EMC"


class TemperatureSummary(Reading):
    """One thermal zone, in degrees Celsius."""

    name: str
    start_c: Finite
    max_c: Finite
    end_c: Finite


class ClockSummary(Reading):
    """One clock."""

    name: str
    min_mhz: NonNegative
    mean_mhz: NonNegative
    max_mhz: NonNegative
    limit_mhz: Optional[NonNegative] = Field(None, description="The lowest value of its upper limit.")


class Thermal(Reading):
    """Temperatures, clocks, and the signs that heat or power held the machine back."""

    readings: int = Field(gt=0)
    temperatures: List[TemperatureSummary] = Field(default_factory=list)
    clocks: List[ClockSummary] = Field(default_factory=list)
    throttled: Optional[bool] = Field(None, description="null: the machine has no such signs.")
    throttling: List[str] = Field(default_factory=list, description="The signs, in words.")
