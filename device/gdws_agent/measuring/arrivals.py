"""Open-loop inferences at scheduled arrivals, as from a camera. They are served one at a time.

Latency is counted from the scheduled arrival, so that the time for which an arrival waits is part of it. With the
service times S and the times A between arrivals, the waiting times are W[n + 1] = max(0, W[n] + S[n] - A[n]) (Lindley,
1952), plus what the generator itself adds where the device was free.
"""

from __future__ import annotations

import math
import time
from array import array
from typing import List, NamedTuple, Optional, Protocol, Sequence

from gdws_contract.pacing import Pacing

from .windows import Step

#: The generator sleeps until this long before an arrival and then spins: a sleep ends up to some 0.1 ms late.
SPIN_NS = 1_000_000
#: Time from the call to the first arrival.
_LEAD_NS = 5_000_000

WAITS_BY = f"sleeps until {SPIN_NS / 1e6:g} ms before an arrival, then spins, which takes CPU time and power"


class Clock(Protocol):
    """A clock in nanoseconds that never goes back."""

    def now_ns(self) -> int:
        """Return the time."""

    def wait_until(self, time_ns: int) -> None:
        """Return at that time or as soon as possible after it."""


class HostClock:
    """The clock that windows are timed by."""

    def now_ns(self) -> int:
        """Return the time of ``time.perf_counter_ns``."""
        return time.perf_counter_ns()

    def wait_until(self, time_ns: int) -> None:
        """Sleep for most of the time, and spin for the rest."""
        remaining_ns = time_ns - time.perf_counter_ns()
        while remaining_ns > SPIN_NS:
            time.sleep((remaining_ns - SPIN_NS) / 1e9)
            remaining_ns = time_ns - time.perf_counter_ns()
        while time.perf_counter_ns() < time_ns:
            pass


class Log(NamedTuple):
    """The times of each arrival, in nanoseconds from the origin of the schedule.

    ``started_ns`` and ``ended_ns`` are of those that were served, the first ones of ``scheduled_ns``. All others had
    missed their deadline when ``closed_ns`` came. ``origin_s`` is on the clock of ``time.monotonic``.
    """

    scheduled_ns: Sequence[int]
    started_ns: Sequence[int]
    ended_ns: Sequence[int]
    closed_ns: int
    origin_s: float


def schedule(pacing: Pacing) -> Sequence[int]:
    """Return when the inferences of ``pacing`` arrive, in nanoseconds; none, where it asks for the search alone."""
    if pacing.arrivals_ms is not None:
        return array("q", (round(1e6 * instant) for instant in pacing.arrivals_ms))
    return () if pacing.rate_hz is None else at_rate(pacing.rate_hz, pacing.duration_ms)


def at_rate(rate_hz: float, duration_ms: float) -> Sequence[int]:
    """Return arrivals at equal distances, in nanoseconds: those before the end of ``duration_ms``, at least one."""
    count = max(1, math.ceil(rate_hz * duration_ms / 1e3 - 1e-9))
    return array("q", (round(1e9 * number / rate_hz) for number in range(count)))


def deadline_of(pacing: Pacing, rate_hz: Optional[float]) -> int:
    """Return the deadline in nanoseconds, by default the period of ``rate_hz``."""
    if pacing.deadline_ms is not None:
        return round(1e6 * pacing.deadline_ms)
    assert rate_hz is not None  # arrivals without a rate have a deadline
    return round(1e9 / rate_hz)


def serve(
    step: Step, scheduled_ns: Sequence[int], deadline_ns: int, clock: Clock, *, give_up_after: Optional[int] = None
) -> Log:
    """Run ``step`` for each arrival, at its time or as soon after it as the ones before are done.

    Ends when all are served, or when the deadline of the last one has passed: whoever still waits then has missed his
    own. With ``give_up_after`` it ends as well once more than so many have missed theirs.
    """
    started, ended = array("q"), array("q")
    origin_s = time.monotonic() + _LEAD_NS / 1e9
    origin = clock.now_ns() + _LEAD_NS
    closes = origin + scheduled_ns[-1] + deadline_ns
    missed = 0
    for at in scheduled_ns:
        due = origin + at
        start = clock.now_ns()
        if start < due:
            clock.wait_until(due)
            start = clock.now_ns()
        elif start > closes:
            break
        step()
        end = clock.now_ns()
        started.append(start - origin)
        ended.append(end - origin)
        missed += end - due > deadline_ns
        if give_up_after is not None and missed > give_up_after:
            break
    return Log(scheduled_ns, started, ended, clock.now_ns() - origin, origin_s)


def misses(log: Log, deadline_ns: int) -> List[bool]:
    """Return for each arrival whether it missed its deadline; those that were not served did."""
    served = [end - at > deadline_ns for at, end in zip(log.scheduled_ns, log.ended_ns)]
    return served + [True] * (len(log.scheduled_ns) - len(served))
