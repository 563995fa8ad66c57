"""Two stored results side by side: cell by cell, how much faster or slower, and what else was not the same.

Nothing here measures. Cells are compared that measure a network of the same name in the same setting.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from gdws.errors import ResultError
from gdws.results.comparison.environment import Difference, differences
from gdws.results.report.figures import Change, accuracy_change
from gdws_contract.findings.intervals import IntervalEstimate, unpaired_ratio
from gdws_contract.measures import Interval, Parity, Power, Proportion
from gdws_contract.rest import BenchmarkResult, Cell, CellKey

__all__ = ["CellComparison", "Comparison", "Difference", "Side", "compare"]

Verdict = Literal["faster", "slower", "not distinguishable", "not measured"]


@dataclass(frozen=True)
class Side:
    """One of the two results; ``source`` is the file or the job that it is from."""

    source: str
    bundle: str
    bundle_id: str
    job_id: str
    label: str | None
    finished_at: str | None
    partial: bool


@dataclass(frozen=True)
class CellComparison:
    """One cell of both results. Ratios are a over b, so above 1 means that b is faster, or needs less energy.

    ``speedup`` is of the typical latency: the geometric mean of the medians of the windows, with Welch's interval
    over the windows. What differs from run to run as a whole is not in it: heat, the place in memory, another build
    of the engine. ``median_a_ms`` and ``median_b_ms`` are over all inferences. Accuracies are the device's.
    """

    key: CellKey
    verdict: Verdict
    reason: str | None
    median_a_ms: float | None
    median_b_ms: float | None
    speedup: IntervalEstimate | None
    energy_saving: IntervalEstimate | None
    natural_change: Change | None
    robust_change: Change | None


@dataclass(frozen=True)
class Comparison:
    """What two results say together. ``only_a`` and ``only_b`` are cells that the other does not have."""

    a: Side
    b: Side
    cells: tuple[CellComparison, ...]
    differences: tuple[Difference, ...]
    only_a: tuple[CellKey, ...]
    only_b: tuple[CellKey, ...]


def compare(a: BenchmarkResult, b: BenchmarkResult, *, source_a: str, source_b: str) -> Comparison:
    """``b`` against ``a``, in the order of the cells of ``a``.

    Raises :class:`ResultError` if they have no cell in common.
    """
    before = {cell.key: cell for cell in a.job.cells}
    after = {cell.key: cell for cell in b.job.cells}
    shared = [key for key in before if key in after]
    if not shared:
        raise ResultError(
            f"{source_a} and {source_b} have no cell in common",
            hint="cells are matched by network, backend, precision, batch size and power mode: measure both alike",
        )
    return Comparison(
        a=_side(a, source_a),
        b=_side(b, source_b),
        cells=tuple(_compare_cells(before[key], after[key]) for key in shared),
        differences=differences(a, b),
        only_a=tuple(key for key in before if key not in after),
        only_b=tuple(key for key in after if key not in before),
    )


def _side(result: BenchmarkResult, source: str) -> Side:
    job = result.job
    return Side(
        source=source,
        bundle=result.manifest.name,
        bundle_id=job.request.model_id,
        job_id=job.id,
        label=job.request.label,
        finished_at=job.finished_at,
        partial=result.partial,
    )


def _compare_cells(a: Cell, b: Cell) -> CellComparison:
    windows = [[window.median_ms for window in cell.rounds] for cell in (a, b)]
    speedup = unpaired_ratio(windows[0], windows[1])
    reasons = [f"{name}: {reason}" for name, reason in (("A", _reason(a)), ("B", _reason(b))) if reason]
    if not reasons and speedup is None:
        reasons = ["an interval needs two windows of each"]
    return CellComparison(
        key=a.key,
        verdict=_verdict(speedup),
        reason="; ".join(reasons) or None,
        median_a_ms=a.latency.median_ms if a.latency else None,
        median_b_ms=b.latency.median_ms if b.latency else None,
        speedup=speedup,
        energy_saving=_energy_saving(a.power, b.power),
        natural_change=_change(a.parity, b.parity, "natural"),
        robust_change=_change(a.parity, b.parity, "robust"),
    )


def _verdict(speedup: IntervalEstimate | None) -> Verdict:
    if speedup is None:
        return "not measured"
    if speedup.low > 1:
        return "faster"
    return "slower" if speedup.high < 1 else "not distinguishable"


def _reason(cell: Cell) -> str | None:
    """Why a cell has no times; None if it has."""
    if cell.latency is not None:
        return None
    if cell.error is not None:
        return cell.error.detail or cell.error.title
    if cell.parity is not None and not cell.parity.passed:
        return "; ".join(cell.parity.reasons) or "it failed parity"
    return "it was not timed"


def _energy_saving(a: Power | None, b: Power | None) -> IntervalEstimate | None:
    """How many times less energy ``b`` takes per inference, from the intervals of both."""
    known = [(_energy(power), power.energy_interval if power else None) for power in (a, b)]
    (before, interval_a), (after, interval_b) = known
    if not before or not after or interval_a is None or interval_b is None or min(interval_a.low, interval_b.low) <= 0:
        return None
    return IntervalEstimate(
        value=before / after,
        low=before / after * math.exp(-math.hypot(_log_below(before, interval_a), _log_above(after, interval_b))),
        high=before / after * math.exp(math.hypot(_log_above(before, interval_a), _log_below(after, interval_b))),
        level=min(interval_a.level, interval_b.level),
    )


def _energy(power: Power | None) -> float | None:
    return power.energy_per_inference_mj if power else None


def _log_below(value: float, interval: Interval) -> float:
    return math.log(value / interval.low)


def _log_above(value: float, interval: Interval) -> float:
    return math.log(interval.high / value)


def _change(a: Parity | None, b: Parity | None, kind: Literal["natural", "robust"]) -> Change | None:
    before: Proportion | None = getattr(a, kind, None)
    after: Proportion | None = getattr(b, kind, None)
    return None if before is None or after is None else accuracy_change(before, after)
