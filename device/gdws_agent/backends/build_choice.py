"""The choice among several engines of one model: builders choose kernels by timing, so their engines differ.

The engine of median latency is kept: what a user who builds once can expect. Pure but for the clock.
"""

from __future__ import annotations

import time
from statistics import median
from typing import Callable, List, NamedTuple, Sequence

from gdws_contract.measures import BuildSpread

from .base import Step

#: Enough for clocks to rise and for a median to settle; the measurement proper comes later.
WARM_UP_S = 0.2
MEASURE_S = 0.5
_MIN_STEPS = 10


class Trial(NamedTuple):
    """One engine: how long its build took, and the median latency of its steps."""

    build_time_s: float
    median_ms: float


def time_steps(
    step: Step,
    *,
    warm_up_s: float = WARM_UP_S,
    measure_s: float = MEASURE_S,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Return the median latency of ``step`` in milliseconds, over ``measure_s`` seconds after a warm-up."""
    _run_for(step, warm_up_s, clock)
    return 1e3 * median(_run_for(step, measure_s, clock))


def choose(trials: Sequence[Trial]) -> int:
    """Return the index of the trial of median latency; of an even number, the faster of the middle two."""
    order = sorted(range(len(trials)), key=lambda index: trials[index].median_ms)
    return order[(len(order) - 1) // 2]


def spread(trials: Sequence[Trial]) -> BuildSpread:
    """Return the spread of two or more ``trials``; the build times are in the order of the builds."""
    latencies = [trial.median_ms for trial in trials]
    return BuildSpread(
        count=len(trials),
        best_ms=min(latencies),
        median_ms=trials[choose(trials)].median_ms,
        worst_ms=max(latencies),
        build_times_s=[trial.build_time_s for trial in trials],
    )


def _run_for(step: Step, duration_s: float, clock: Callable[[], float]) -> List[float]:
    """Run ``step`` for that long and at least a few times; return the time of each run in seconds."""
    times: List[float] = []
    began = before = clock()
    while len(times) < _MIN_STEPS or before - began < duration_s:
        step()
        after = clock()
        times.append(after - before)
        before = after
    return times
