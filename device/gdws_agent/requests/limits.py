"""Limits of a job: the request's own within those of the agent's settings. Pure functions."""

from __future__ import annotations

from typing import Optional

from gdws_agent.errors import LimitTooHigh, make_problem
from gdws_agent.settings import Settings
from gdws_contract.problems import Problem
from gdws_contract.rest import BenchmarkRequest

from .estimate import shortest_s


def check_limits(request: BenchmarkRequest, settings: Settings) -> None:
    """Refuse a resolved ``request`` that asks for more than a job may take, or that cannot end in its time.

    Raises:
        LimitTooHigh: with the path of the field.
    """
    asked = request.limits
    if asked.time_s is not None and asked.time_s > settings.max_job_time_s:
        raise LimitTooHigh(
            f"a job may be measured for {settings.max_job_time_s:g} s",
            field="limits.time_s",
            hint="--max-job-time-s of the agent sets the limit",
        )
    if asked.memory_mib is not None and 0 < settings.max_memory_mib < asked.memory_mib:
        raise LimitTooHigh(
            f"a job may take {settings.max_memory_mib} MiB",
            field="limits.memory_mib",
            hint="--max-memory-mib of the agent sets the limit",
        )
    shortest = shortest_s(request)
    if shortest > time_limit_s(request, settings):
        raise LimitTooHigh(
            f"its protocol takes {shortest:.0f} s at least, and the job may take {time_limit_s(request, settings):g} s",
            field="limits.time_s",
            hint="ask for fewer cells, shorter times, or more time (--max-job-time-s of the agent)",
        )


def time_limit_s(request: BenchmarkRequest, settings: Settings) -> float:
    """Return how long the job may be measured, in seconds."""
    return settings.max_job_time_s if request.limits.time_s is None else request.limits.time_s


def memory_limit_mib(request: BenchmarkRequest, settings: Settings) -> Optional[int]:
    """Return how much private memory the measuring process may take, in MiB; None: what there is."""
    return request.limits.memory_mib or settings.max_memory_mib or None


def out_of_time(limit_s: float) -> Problem:
    """Return why the cells of a job were not measured whose time was up."""
    return make_problem(
        504,
        "time-limit-exceeded",
        f"the job was measured for {limit_s:g} s, as long as it may",
        hint="ask for fewer cells, or for more time: limits.time_s of the request, --max-job-time-s of the agent",
    )
