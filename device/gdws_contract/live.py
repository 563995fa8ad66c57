"""Live readings of a device, for monitoring; results have their own figures."""

from __future__ import annotations

from typing import List, Optional

from pydantic import Field

from .base import Finite, NonNegative, Reading


class LiveRail(Reading):
    """One supply rail; what flows back is negative."""

    name: str
    power_w: Finite


class LivePower(Reading):
    """Power right now; without a total, ``reason`` says why."""

    total_w: Optional[Finite] = None
    scope: Optional[str] = Field(None, description="What the total covers, e.g. 'module power, rail VDD_IN'.")
    rails: List[LiveRail] = Field(default_factory=list)
    reason: Optional[str] = Field(None, description="Why there is no total.")


class LiveTemperature(Reading):
    """One thermal zone."""

    name: str
    celsius: Finite


class LiveClock(Reading):
    """One clock; of several cores the fastest holds."""

    name: str
    mhz: NonNegative
    limit_mhz: Optional[NonNegative] = Field(None, description="Its current upper limit.")


class LiveReadings(Reading):
    """Answer of ``GET /device/live``, from files that the kernel shows to all users. What it hides is left out."""

    read_at: str = Field(description="UTC, ISO 8601.")
    power: LivePower
    temperatures: List[LiveTemperature] = Field(default_factory=list)
    temperatures_reason: Optional[str] = Field(None, description="Why there are none.")
    clocks: List[LiveClock] = Field(default_factory=list)
    clocks_reason: Optional[str] = Field(None, description="Why there are none.")
    held_back: List[str] = Field(default_factory=list, description="What limits clocks because of heat, in words.")
    load_average_1min: Optional[NonNegative] = Field(None, description="Processes that are running or ready to run.")
    memory_available_bytes: Optional[int] = None
