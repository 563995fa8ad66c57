"""The timed loop: inferences back to back, and nothing else between the two readings of the clock."""

from __future__ import annotations

import gc
import statistics
import time
from array import array
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Callable, Iterator, List, NamedTuple

from gdws_agent.stats import is_steady
from gdws_contract.measures import RoundSummary

#: Runs one inference and returns when its outputs can be read.
Step = Callable[[], object]

#: The first inferences after another variant ran find its data in the caches: the first takes up to 1.6 times
#: the steady time, the fifth 1.05 times. They are run and thrown away, but slow ones, which a cold cache
#: hardly changes, not for longer than this.
SETTLE_INFERENCES = 5
SETTLE_MAX_MS = 50.0
_WARMUP_WINDOW_MS = 20.0
_WARMUP_WINDOW_INFERENCES = 3


@dataclass(frozen=True)
class Window:
    """One window of inferences; ``start_s`` and ``end_s`` are on the clock of ``time.monotonic``."""

    start_s: float
    end_s: float
    samples_ns: array[int]

    @cached_property
    def median_ms(self) -> float:
        """The median time of an inference."""
        return statistics.median(self.samples_ns) / 1e6

    def summary(self, index: int) -> RoundSummary:
        """Return this window as the ``index``-th round of its variant."""
        return RoundSummary(
            index=index,
            count=len(self.samples_ns),
            median_ms=self.median_ms,
            duration_s=self.end_s - self.start_s,
        )


def run_window(step: Step, *, min_ms: float, min_count: int) -> Window:
    """Run ``step`` for at least ``min_ms`` and ``min_count`` times, and at least once."""
    clock = time.perf_counter_ns
    samples = array("q")
    start_s = time.monotonic()
    stopped = clock()
    deadline = stopped + round(min_ms * 1e6)
    while not samples or stopped < deadline or len(samples) < min_count:
        started = clock()
        step()
        stopped = clock()
        samples.append(stopped - started)
    return Window(start_s, time.monotonic(), samples)


def settle(step: Step) -> None:
    """Run ``step`` a few times after another variant ran, to refill the caches."""
    deadline = time.monotonic() + SETTLE_MAX_MS / 1e3
    for _ in range(SETTLE_INFERENCES):
        step()
        if time.monotonic() >= deadline:
            return


class WarmUp(NamedTuple):
    """The result of a warm-up; ``medians_ms`` are the medians of its windows, in order."""

    steady: bool
    duration_ms: float
    medians_ms: List[float]


def warm_up(step: Step, *, min_ms: float, max_ms: float, on_window: Callable[[float], None]) -> WarmUp:
    """Run ``step`` for at least ``min_ms``, then until its times are steady, but not for longer than ``max_ms``.

    ``on_window`` is told the median of each window, in milliseconds. A window that has begun is ended, and when
    ``min_ms`` is the longer of the two it holds. Nothing is run when both are 0.
    """
    began = time.monotonic()
    medians: List[float] = []
    elapsed_ms = 0.0
    while elapsed_ms < min_ms or (elapsed_ms < max_ms and not is_steady(medians)):
        window = run_window(step, min_ms=_WARMUP_WINDOW_MS, min_count=_WARMUP_WINDOW_INFERENCES)
        medians.append(window.median_ms)
        on_window(window.median_ms)
        elapsed_ms = (time.monotonic() - began) * 1e3
    return WarmUp(is_steady(medians), elapsed_ms, medians)


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Disable Python's cyclic garbage collector in the context."""
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
