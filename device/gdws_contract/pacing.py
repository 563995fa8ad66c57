"""Paced inferences, as from a camera: the request, and the figures with missed deadlines."""

from __future__ import annotations

from typing import List, Optional

from pydantic import Field, model_validator
from typing_extensions import Annotated

from .base import Fraction, NonNegative, Reading, Record
from .layer_plan import inconsistent
from .measures import LatencySummary, Proportion, TimeSummary

#: Of one variant. What is recorded of each arrival takes some 40 bytes while it is measured.
MAX_ARRIVALS = 1_000_000
#: Instants that a request may name.
MAX_INSTANTS = 10_000

#: Arrivals per second.
MAX_RATE_HZ = 100_000

Rate = Annotated[float, Field(gt=0, le=MAX_RATE_HZ, allow_inf_nan=False)]


class Pacing(Record):
    """Asks for open-loop inferences after the rounds: each arrives at its time, whether or not the last one has ended.

    They arrive ``rate_hz`` times a second for ``duration_ms``, or at the instants of ``arrivals_ms``. One is served at
    a time, in the order of arrival. With ``search`` the highest rate is looked for that the variant sustains.
    """

    rate_hz: Optional[Rate] = Field(None, description="Arrivals per second, e.g. a camera's frame rate.")
    arrivals_ms: Optional[List[Annotated[float, Field(ge=0, le=3_600_000, allow_inf_nan=False)]]] = Field(
        None,
        min_length=2,
        max_length=MAX_INSTANTS,
        description="Arrivals at these instants from the start, in ascending order, instead of a rate.",
    )
    duration_ms: float = Field(
        10_000.0,
        ge=100,
        le=3_600_000,
        allow_inf_nan=False,
        description="Of the arrivals at a rate; of each rate that the search tries, too.",
    )
    deadline_ms: Optional[float] = Field(
        None,
        gt=0,
        le=3_600_000,
        allow_inf_nan=False,
        description="From the scheduled arrival to the outputs; null: the period of the rate.",
    )
    search: bool = Field(False, description="Look for the highest rate that is sustained.")
    max_miss_rate: Fraction = Field(
        0.0, description="A rate is sustained if no more of its arrivals than this miss their deadlines."
    )

    @model_validator(mode="after")
    def _fits(self) -> Pacing:
        if self.rate_hz is not None and self.arrivals_ms is not None:
            raise inconsistent("arrivals_ms", "give rate_hz or arrivals_ms, not both")
        if self.rate_hz is None and self.arrivals_ms is None and not self.search:
            raise inconsistent("rate_hz", "give rate_hz, arrivals_ms or search")
        if self.arrivals_ms is not None:
            if self.deadline_ms is None:
                raise inconsistent("deadline_ms", "arrivals_ms have no period: give deadline_ms")
            if any(later < earlier for earlier, later in zip(self.arrivals_ms, self.arrivals_ms[1:])):
                raise inconsistent("arrivals_ms", "the instants are not in ascending order")
        if self.rate_hz is not None and self.rate_hz * self.duration_ms / 1e3 > MAX_ARRIVALS:
            raise inconsistent("duration_ms", f"rate_hz for so long makes more than {MAX_ARRIVALS:,} arrivals")
        return self

    @property
    def paced_ms(self) -> float:
        """How long the arrivals take that are asked for by rate or by instant; 0 without any."""
        if self.arrivals_ms is not None:
            return self.arrivals_ms[-1]
        return 0.0 if self.rate_hz is None else self.duration_ms


class Bursts(Reading):
    """Deadlines missed in a row: what a tracker or a controller has to bridge."""

    count: int = Field(ge=0, description="Runs of consecutive misses, single ones too.")
    longest: int = Field(ge=0, description="Misses in the longest of them.")


class Jitter(Reading):
    """By how much the generator itself began late, where an arrival found the device free."""

    count: int = Field(gt=0, description="Arrivals that found the device free.")
    median_ms: NonNegative
    p99_ms: Optional[NonNegative] = Field(None, description="null below 100 of them.")
    max_ms: NonNegative


class HighestRate(Reading):
    """What the search found, rates in arrivals per second."""

    rate_hz: Optional[NonNegative] = Field(
        None, description="The highest that was sustained, in two runs; null: none that was tried."
    )
    missed_hz: Optional[NonNegative] = Field(
        None, description="The lowest above it that was not; null: none that was tried."
    )
    max_miss_rate: Fraction = Field(description="A rate counts as sustained up to this share of misses.")
    deadline_ms: Optional[NonNegative] = Field(None, description="null: the period of each rate.")
    runs: int = Field(gt=0, description="Runs that were made.")
    arrivals: int = Field(
        gt=0, description="Fewest arrivals of a run, which determine the lowest measurable miss rate."
    )
    reason: Optional[str] = Field(None, description="Why there is no rate, or no rate above it.")


class Paced(Reading):
    """Open-loop inferences of one variant. Latencies are from the scheduled arrival, so that waiting counts."""

    rate_hz: Optional[NonNegative] = Field(
        None, description="Arrivals per second, over the time from the first to the last; null: all came at once."
    )
    deadline_ms: NonNegative
    arrivals: int = Field(gt=0)
    served: int = Field(
        ge=0, description="Those left over had waited past their deadline when the last one's had passed."
    )
    missed: Proportion = Field(description="Arrivals past their deadline; no interval, for misses come in runs.")
    bursts: Bursts
    latency: Optional[LatencySummary] = Field(None, description="From the scheduled arrival to the outputs.")
    p999_ms: Optional[NonNegative] = None
    withheld: Optional[str] = Field(None, description="Why there is no latency, or no p99.9.")
    waiting: Optional[TimeSummary] = Field(None, description="From the scheduled arrival to the start.")
    service: Optional[TimeSummary] = Field(None, description="From the start to the outputs.")
    utilisation: Fraction = Field(description="Share of the time that inferences ran; 1: the device never rested.")
    jitter: Optional[Jitter] = Field(None, description="null: no arrival found the device free.")


class PacedResult(Reading):
    """What a request's :class:`Pacing` found of one variant; a part that was not asked for is null."""

    run: Optional[Paced] = None
    highest_rate: Optional[HighestRate] = None
    waits_by: str = Field(description="How the generator waits for an arrival, in words.")
