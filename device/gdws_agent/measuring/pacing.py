"""Paced inferences of one variant according to a request: at its rate or instants, then the search."""

from __future__ import annotations

import math
from typing import Callable, NamedTuple, Optional

from gdws_contract.pacing import MAX_ARRIVALS, MAX_RATE_HZ, HighestRate, PacedResult, Pacing

from .arrivals import WAITS_BY, Clock, HostClock, Log, at_rate, deadline_of, misses, schedule, serve
from .highest_rate import search
from .paced import summarise_paced
from .windows import Step

#: A rate is tried with this many arrivals at least, or the search does not go so low.
_FEWEST_ARRIVALS = 2
#: The search begins at this share of the rate at which inferences follow each other back to back.
_FIRST_SHARE = 0.9

#: Told before each run: the rate of the arrivals, where they have one.
Tell = Callable[[Optional[float]], None]


class Outcome(NamedTuple):
    """``log`` is that of the run at the request's own arrivals; None where there was none."""

    result: PacedResult
    log: Optional[Log]


def run_pacing(
    step: Step, pacing: Pacing, typical_ms: float, scope: str, tell: Tell, clock: Optional[Clock] = None
) -> Outcome:
    """Run ``step`` as ``pacing`` asks; ``typical_ms`` is the time of an inference, ``scope`` what a step covers."""
    clock = clock or HostClock()
    scheduled, run, log = schedule(pacing), None, None
    if scheduled:
        tell(pacing.rate_hz)
        deadline_ns = deadline_of(pacing, pacing.rate_hz)
        log = serve(step, scheduled, deadline_ns, clock)
        run = summarise_paced(log, deadline_ns, scope)
    highest = find_highest_rate(step, pacing, typical_ms, tell, clock) if pacing.search else None
    return Outcome(PacedResult(run=run, highest_rate=highest, waits_by=WAITS_BY), log)


def find_highest_rate(step: Step, pacing: Pacing, typical_ms: float, tell: Tell, clock: Clock) -> HighestRate:
    """Return the highest rate of which no more than ``pacing.max_miss_rate`` of the arrivals miss their deadlines."""
    fewest = MAX_ARRIVALS

    def holds(rate_hz: float) -> bool:
        nonlocal fewest
        tell(rate_hz)
        scheduled = at_rate(rate_hz, pacing.duration_ms)
        fewest = min(fewest, len(scheduled))
        allowed = math.floor(pacing.max_miss_rate * len(scheduled))
        deadline_ns = deadline_of(pacing, rate_hz)
        log = serve(step, scheduled, deadline_ns, clock, give_up_after=allowed)
        return sum(misses(log, deadline_ns)) <= allowed

    found = search(
        holds,
        first=_FIRST_SHARE * 1e3 / max(typical_ms, 1e-3),
        lowest=_FEWEST_ARRIVALS * 1e3 / pacing.duration_ms,
        highest=min(MAX_RATE_HZ, MAX_ARRIVALS * 1e3 / pacing.duration_ms),
    )
    return HighestRate(
        rate_hz=found.held,
        missed_hz=found.failed,
        max_miss_rate=pacing.max_miss_rate,
        deadline_ms=pacing.deadline_ms,
        runs=found.runs,
        arrivals=fewest,
        reason=found.reason,
    )
