"""Flags: reasons why a figure may be unreliable. Pure.

They are set so that a quiet machine raises none: a flag that is always up is not read.
"""

from __future__ import annotations

from typing import Iterator, Optional, Sequence

from gdws_agent.stats import coefficient_of_variation, trend, without_slowest
from gdws_contract.measures import Flag

from .environment import Activity
from .windows import WarmUp

FEW_SAMPLES = 30
#: Single times: one in a hundred may be anything, e.g. an interrupt, so the slowest are left out.
HIGH_VARIATION = 0.25
SLOWEST_SHARE = 0.01
#: Medians of the rounds.
UNSTABLE_ROUNDS = 0.10
DRIFT_CHANGE = 0.05
#: Noise alone reaches this in one case of a hundred.
DRIFT_Z = 2.6
#: Share of all the machine's CPU time.
OTHER_LOAD = 0.10
STOLEN_TIME = 0.02


def latency_flags(samples_ms: Sequence[float], round_medians_ms: Sequence[float], warm_up: WarmUp) -> Iterator[Flag]:
    """Yield the flags of one variant's times."""
    if not warm_up.steady:
        yield Flag(
            code="not-steady",
            detail=f"no steady state in {warm_up.duration_ms:.0f} ms of warm-up: "
            "three windows in a row must lie within 10 %",
        )
    if len(samples_ms) < FEW_SAMPLES:
        yield Flag(
            code="few-samples", detail=f"the figures rest on {len(samples_ms)} samples; {FEW_SAMPLES} would be better"
        )
    variation = coefficient_of_variation(without_slowest(samples_ms, SLOWEST_SHARE))
    if _above(variation, HIGH_VARIATION):
        yield Flag(
            code="high-variation",
            detail=f"single times vary by {variation:.0%} of their mean "
            "(coefficient of variation without the slowest 1 %)",
        )
    yield from _round_flags(round_medians_ms)


def _round_flags(medians_ms: Sequence[float]) -> Iterator[Flag]:
    if len(medians_ms) >= 3:
        moved = trend(medians_ms)
        if abs(moved.change) > DRIFT_CHANGE and abs(moved.z) > DRIFT_Z:
            yield Flag(
                code="drift",
                detail=f"the rounds' medians moved by {moved.change:+.0%} from the first third of them to the last; "
                "this cancels in ratios between variants, not in the times",
            )
            return
    variation = coefficient_of_variation(medians_ms)
    if _above(variation, UNSTABLE_ROUNDS):
        yield Flag(
            code="unstable-rounds",
            detail=f"the rounds' medians vary by {variation:.0%} (coefficient of variation)",
        )


def machine_flags(activity: Activity) -> Iterator[Flag]:
    """Yield the flags for the state of the machine during a measurement."""
    others, stolen, throttled = activity
    if _above(others, OTHER_LOAD):
        yield Flag(
            code="other-load",
            detail=f"other processes used {others:.0%} of the machine's CPU time during the measurement",
        )
    if _above(stolen, STOLEN_TIME):
        yield Flag(
            code="stolen-time",
            detail=f"the hypervisor gave {stolen:.0%} of the CPU time to other machines meanwhile",
        )
    if _above(throttled, 0):
        yield Flag(
            code="throttled",
            detail=f"the CPU lowered its clock against heat {throttled} times during the measurement",
        )


def _above(value: Optional[float], threshold: float) -> bool:
    return value is not None and value > threshold
