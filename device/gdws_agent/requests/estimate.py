"""Estimates of durations: those of the protocol, corrected by experience. Pure functions.

Loading, building and checking parity take as long as they take, so a plan is only as good as the last jobs show it
to be: ``pace`` is the time that was needed over the time that was planned.
"""

from __future__ import annotations

from typing import Optional

from gdws_contract.pacing import Pacing
from gdws_contract.rest import BenchmarkRequest

from .groups import plan_groups

#: Overheads of a cell (build, parity) and of a group (start of a worker, loading).
_CELL_EXTRA_S = 1.0
_GROUP_EXTRA_S = 1.0
#: What a query of an attack takes.
_QUERY_S = 0.001
#: Runs that a search for the highest rate usually makes; those that fail end early.
_SEARCH_RUNS = 8
#: Bounds of a plausible pace.
_SLOWEST, _FASTEST = 100.0, 0.001


def planned_s(request: BenchmarkRequest) -> float:
    """Return the time that a resolved ``request`` plans to take, in seconds."""
    groups = list(plan_groups(request))
    cells = sum(len(group.variants) for group in groups)
    queries = 0 if request.attack is None else cells * (request.attack.images or 0) * request.attack.queries
    extra_s = cells * request.engine.builds * _CELL_EXTRA_S + len(groups) * _GROUP_EXTRA_S + queries * _QUERY_S
    return shortest_s(request) + extra_s + cells * _search_s(request)


def shortest_s(request: BenchmarkRequest) -> float:
    """Return the time that the protocol of a resolved ``request`` takes at least, in seconds."""
    if not request.is_timed:
        return 0.0
    p = request.protocol
    paced_ms = 0.0 if request.pacing is None else request.pacing.paced_ms
    cell_ms = p.warmup_ms + p.min_duration_ms + paced_ms + p.sustained_ms
    return sum(p.idle_ms + len(group.variants) * cell_ms for group in plan_groups(request)) / 1_000


def longest_run_ms(pacing: Optional[Pacing]) -> float:
    """Return how long a worker may be at one run of paced arrivals, in milliseconds, with the last one's deadline."""
    if pacing is None:
        return 0.0
    return max(pacing.paced_ms, pacing.duration_ms if pacing.search else 0.0) + (pacing.deadline_ms or 0.0)


def _search_s(request: BenchmarkRequest) -> float:
    if request.profile is not None or request.pacing is None or not request.pacing.search:
        return 0.0
    return _SEARCH_RUNS * request.pacing.duration_ms / 1e3


def bounded_pace(run_s: float, planned_for_it_s: float) -> float:
    """Return the pace of what took ``run_s``; 1 where nothing was planned or seen."""
    if run_s <= 0 or planned_for_it_s <= 0:
        return 1.0
    return min(_SLOWEST, max(_FASTEST, run_s / planned_for_it_s))


def remaining_s(planned: float, share_done: float, run_s: float, since_last_cell_s: float, pace: float) -> float:
    """Return how long a running job will still take.

    ``run_s`` is the time of the cells that have ended, ``share_done`` their share of all, ``since_last_cell_s`` the
    time since. Before its first cell the job is judged by the ``pace`` of others.
    """
    if share_done > 0:
        pace = bounded_pace(run_s, planned * share_done)
    return max(0.0, planned * (1 - share_done) * pace - since_last_cell_s)
