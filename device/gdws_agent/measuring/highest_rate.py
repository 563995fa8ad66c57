"""The highest rate of arrivals that a variant sustains: a search over runs that hold or do not. Pure."""

from __future__ import annotations

import math
from typing import Callable, NamedTuple, Optional

#: The search ends when what held and what did not lie this close, or after so many runs.
RESOLUTION = 0.02
MAX_RUNS = 30
#: How far the search moves while it knows one side alone.
_UP, _DOWN = 1.25, 0.5


class Bracket(NamedTuple):
    """``held`` is the highest rate that held, twice in a row, and ``failed`` the lowest above it that did not."""

    held: Optional[float]
    failed: Optional[float]
    runs: int
    reason: Optional[str]


def search(holds: Callable[[float], bool], first: float, lowest: float, highest: float) -> Bracket:
    """Return the highest rate between ``lowest`` and ``highest`` that ``holds``, looked for from ``first`` on.

    A rate that held once may have been lucky, so it must hold again; one that did not is not tried again.
    """
    held: Optional[float] = None
    failed: Optional[float] = None
    rate, runs = min(max(first, lowest), highest), 0
    while runs + 2 <= MAX_RUNS:
        runs += 1
        good = holds(rate)
        if good:
            runs += 1
            good = holds(rate)
        if good:
            held = rate
        else:
            failed = rate
        if held is not None and failed is not None:
            if failed <= held * (1 + RESOLUTION):
                return Bracket(held, failed, runs, None)
            rate = math.sqrt(held * failed)
        elif held is not None:
            if held >= highest:
                return Bracket(held, None, runs, f"{highest:g} Hz is the highest rate that is tried")
            rate = min(held * _UP, highest)
        else:
            if rate <= lowest:
                return Bracket(None, failed, runs, f"not even {lowest:g} Hz, the lowest that is tried, was sustained")
            rate = max(rate * _DOWN, lowest)
    return Bracket(held, failed, runs, f"the search ended after {runs} runs")
