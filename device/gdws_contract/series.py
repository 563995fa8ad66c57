"""Time series that a result has on request, on a common time line."""

from __future__ import annotations

from typing import List, Optional

from pydantic import Field, model_validator
from typing_extensions import Literal

from .base import Finite, NonNegative, Reading, Record

#: Curves that a cell keeps at most; those of the last names are left out.
MAX_CURVES = 64


class SeriesOptions(Record):
    """Asks for readings over time to be kept in each cell."""

    max_points: int = Field(
        1_000, ge=2, le=2_000, description="Maximum number of points of a curve; more are thinned out evenly."
    )


class Curve(Reading):
    """One quantity over time. Of ``readings`` so many points are kept, evenly spread."""

    kind: Literal["latency", "power", "temperature", "clock"]
    name: str
    unit: str
    readings: int = Field(gt=0)
    times_s: List[Finite] = Field(description="Since the cell's origin.")
    values: List[Finite]

    @model_validator(mode="after")
    def _pairs(self) -> Curve:
        if len(self.times_s) != len(self.values):
            raise ValueError("times_s and values differ in length")
        return self


class Span(Reading):
    """A stretch of the cell's time: a round, or a part of the protocol that follows."""

    name: str
    start_s: Finite = Field(description="Since the cell's origin.")
    duration_s: NonNegative
    round: Optional[int] = None
    count: Optional[int] = Field(None, description="Inferences in it.")
    median_ms: Optional[NonNegative] = None


class Series(Reading):
    """What was read while one cell was measured."""

    origin_unix_s: Finite = Field(description="Time 0 of all times here, in seconds since 1970 (UTC).")
    spans: List[Span] = Field(default_factory=list)
    curves: List[Curve] = Field(default_factory=list)
    left_out: int = Field(0, ge=0, description="Curves past the bound.")
