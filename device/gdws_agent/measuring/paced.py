"""Figures of paced inferences: latencies including waiting, missed deadlines, generator jitter. Pure."""

from __future__ import annotations

import math
import statistics
from itertools import groupby
from typing import List, Optional, Sequence

from gdws_agent.stats import PERCENTILE_MIN_COUNT, percentile, summarise
from gdws_contract.measures import Flag, Proportion, TimeSummary
from gdws_contract.pacing import Bursts, Jitter, Paced

from .arrivals import Log, misses

#: As p99 needs 100 samples, p99.9 needs 1,000: one of them lies above.
P999_MIN_COUNT = 1_000
#: Lateness of the generator above which latencies say less of the device than they should.
JITTER_P99_MS = 0.2


def summarise_paced(log: Log, deadline_ns: int, scope: str) -> Paced:
    """Return the figures of a ``log`` that was not given up; ``scope`` says what one step covers."""
    late = misses(log, deadline_ns)
    latencies = [(end - at) / 1e6 for at, end in zip(log.scheduled_ns, log.ended_ns)]
    waiting = [(start - at) / 1e6 for at, start in zip(log.scheduled_ns, log.started_ns)]
    service = [(end - start) / 1e6 for start, end in zip(log.started_ns, log.ended_ns)]
    withheld = _withheld(len(latencies), len(late))
    all_served = bool(latencies) and len(latencies) == len(late)
    busy_ns = sum(log.ended_ns) - sum(log.started_ns)
    return Paced(
        rate_hz=_rate_hz(log.scheduled_ns),
        deadline_ms=deadline_ns / 1e6,
        arrivals=len(late),
        served=len(latencies),
        missed=Proportion(value=sum(late) / len(late), successes=sum(late), count=len(late)),
        bursts=bursts(late),
        latency=summarise(latencies, f"from the scheduled arrival, waiting included; {scope}") if all_served else None,
        p999_ms=percentile(sorted(latencies), 999, of=1_000) if withheld is None else None,
        withheld=withheld,
        waiting=_times(waiting) if all_served else None,
        service=_times(service),
        utilisation=min(1.0, busy_ns / max(log.closed_ns, 1)),
        jitter=jitter(log),
    )


def bursts(late: Sequence[bool]) -> Bursts:
    """Return the runs of consecutive misses."""
    lengths = [sum(1 for _ in run) for missed, run in groupby(late) if missed]
    return Bursts(count=len(lengths), longest=max(lengths, default=0))


def jitter(log: Log) -> Optional[Jitter]:
    """Return the start delay of arrivals that found the device free; None if there are none."""
    free_from = [0, *log.ended_ns]
    late_ms = sorted(
        (start - at) / 1e6 for at, start, free in zip(log.scheduled_ns, log.started_ns, free_from) if free <= at
    )
    if not late_ms:
        return None
    return Jitter(
        count=len(late_ms),
        median_ms=statistics.median(late_ms),
        p99_ms=percentile(late_ms, 99) if len(late_ms) >= PERCENTILE_MIN_COUNT else None,
        max_ms=late_ms[-1],
    )


def paced_flags(found: Optional[Paced]) -> List[Flag]:
    """Return a flag if the generator's jitter is too large."""
    late = None if found is None else found.jitter
    if late is None or late.p99_ms is None or late.p99_ms <= JITTER_P99_MS:
        return []
    return [
        Flag(
            code="late-generator",
            detail=f"arrivals that found the device free were started up to {late.p99_ms:.2g} ms late (p99), and "
            f"{JITTER_P99_MS:g} ms is usual on a machine at rest: that is part of the paced latencies",
        )
    ]


def _withheld(served: int, arrivals: int) -> Optional[str]:
    if served < arrivals:
        return (
            f"{arrivals - served} of {arrivals} arrivals were not served by the last deadline: their latencies are not "
            "known, and those of the others would look better than they are"
        )
    if served < P999_MIN_COUNT:
        return f"p99.9 needs {P999_MIN_COUNT} samples; there are {served}"
    return None


def _rate_hz(scheduled_ns: Sequence[int]) -> Optional[float]:
    """Return the mean rate of the arrivals; None where they came at once."""
    span_ns = scheduled_ns[-1] - scheduled_ns[0]
    return 1e9 * (len(scheduled_ns) - 1) / span_ns if span_ns > 0 else None


def _times(values_ms: Sequence[float]) -> Optional[TimeSummary]:
    if not values_ms:
        return None
    return TimeSummary(
        min_ms=min(values_ms),
        mean_ms=math.fsum(values_ms) / len(values_ms),
        median_ms=statistics.median(values_ms),
        max_ms=max(values_ms),
    )
