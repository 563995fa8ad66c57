"""The findings on one cell: its speed relative to the baseline, or why there are no times."""

from __future__ import annotations

import math
from typing import Optional, Protocol, Sequence, Tuple

from pydantic import Field
from typing_extensions import Literal

from gdws_contract.base import NonNegative, Reading
from gdws_contract.measures import Flag, SpeedUp
from gdws_contract.rest import FINAL_STATES, Cell, CellKey, Job

Direction = Literal["faster", "slower", "not distinguishable"]
Speed = Literal["faster", "slower", "not distinguishable", "unstable", "not measured"]

#: Flags of times that were disturbed: with them, an interval that holds 1 is no finding that speeds are alike.
#: A drift is not among them, for it cancels in ratios of networks that take turns.
UNSTABLE = frozenset({"not-steady", "unstable-rounds", "other-load", "stolen-time", "throttled", "clocks-raised"})


class Limits(Protocol):
    """The limits of an interval."""

    @property
    def low(self) -> float:
        """The lower limit."""

    @property
    def high(self) -> float:
        """The upper limit."""


class CellFindings(Reading):
    """One requested cell, compared with the baseline in the same setting."""

    key: CellKey
    speed: Optional[Speed] = Field(description="Against the baseline; null for the baseline itself.")
    reason: Optional[str] = Field(description="Why there are no times; null if there are.")
    fps_low: Optional[NonNegative] = Field(description="Images per second in the slowest round, by its median.")
    fps_high: Optional[NonNegative] = Field(description="Images per second in the fastest round, by its median.")


def direction(interval: Optional[Limits]) -> Direction:
    """What the ``interval`` of a speed-up says: faster or slower only if the whole of it lies on one side of 1."""
    if interval is None:
        return "not distinguishable"
    if interval.low > 1:
        return "faster"
    return "slower" if interval.high < 1 else "not distinguishable"


def speed_of(speedup: Optional[SpeedUp], flags: Sequence[Flag]) -> Speed:
    """The finding from ``speedup``, given the ``flags`` of the network's times and of the baseline's."""
    if speedup is None:
        return "not measured"
    found = direction(speedup.interval)
    disturbed = any(flag.code in UNSTABLE for flag in flags)
    return "unstable" if found == "not distinguishable" and disturbed else found


def why_untimed(cell: Cell) -> Optional[str]:
    """Why ``cell`` has no times; None if it has."""
    if cell.latency is not None:
        return None
    if cell.profile is not None:
        return "its layers were timed instead of the whole network"
    if cell.attack is not None:
        return "its engine was attacked instead of being timed"
    if cell.error is not None:
        return cell.error.detail or cell.error.title
    if cell.parity is not None and not cell.parity.passed:
        return "; ".join(cell.parity.reasons) or "its outputs on the device differ from the host's"
    return f"the cell is {cell.state.replace('_', ' ')}, without a reason"


def why_missing(job: Job, *, partial: bool) -> str:
    """Why a cell of ``job`` is not there; ``partial`` says that the client stopped before the job ended."""
    if job.error is not None:
        return f"the job failed first: {job.error.detail or job.error.title}"
    if partial:
        return "the run was stopped first"
    if job.state not in FINAL_STATES:
        return "not measured yet"
    return "the agent sent no result" if job.state == "done" else f"the job was {job.state} first"


def fps_range(cell: Cell) -> Tuple[Optional[float], Optional[float]]:
    """Images per second in the slowest and the fastest round, by their medians; None without rounds."""
    rates = [1000 * cell.key.batch_size / window.median_ms for window in cell.rounds if window.median_ms > 0]
    rates = [rate for rate in rates if math.isfinite(rate)]
    return (min(rates), max(rates)) if rates else (None, None)
