"""Comparison of two runs: speed-ups cell by cell, and differences in the conditions.

Nothing here measures. Cells are compared that measure a network of the same name in the same setting.
"""

from __future__ import annotations

import math
from typing import Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

from pydantic import Field
from typing_extensions import Literal

from gdws_contract.base import NonNegative, Reading
from gdws_contract.manifest import Manifest
from gdws_contract.measures import Parity, Power, Proportion
from gdws_contract.rest import Cell, CellKey, DeviceInfo, Job

from .accuracy import AccuracyChange, accuracy_change
from .cells import direction, why_untimed
from .environment import Difference, differences
from .intervals import IntervalEstimate, from_logs, unpaired_ratio
from .layers import ProfileComparison, compare_profiles
from .networks import metrics_in
from .result import findings_of
from .verdict import Verdict

SpeedVerdict = Literal["faster", "slower", "not distinguishable", "not measured"]


class Run(NamedTuple):
    """What is compared: a job, the device that it ran on, and its bundle's manifest; None where that is gone.

    ``source`` is the file or the job that it is from; ``partial`` says that the job had not ended.
    """

    source: str
    job: Job
    device: DeviceInfo
    manifest: Optional[Manifest]
    partial: bool


class Side(Reading):
    """One of the two runs."""

    source: str = Field(description="The file or the job that it is from.")
    bundle: Optional[str] = Field(description="Its name; null where the bundle is gone.")
    bundle_id: str
    job_id: str
    label: Optional[str]
    finished_at: Optional[str]
    partial: bool = Field(description="The job had not ended, or the client stopped before it did.")
    verdicts: Tuple[Verdict, ...] = Field((), description="What it shows by itself, one for each setting.")


class MetricComparison(Reading):
    """A metric of one network in both runs, as people read it; null where that run has none."""

    name: str
    words: str = Field(description="What it is called, e.g. 'detections kept'.")
    a: Optional[str]
    b: Optional[str]


class CellComparison(Reading):
    """One cell of both runs. Ratios are a over b, so above 1 means that b is faster, or needs less energy.

    ``speedup`` is of the typical latency: the geometric mean of the medians of the windows, with Welch's interval
    over the windows. What differs from run to run as a whole is not in it: heat, the place in memory, another build
    of the engine. ``median_a_ms`` and ``median_b_ms`` are over all inferences. Accuracies are the device's; ``metrics``
    are the host's, of what is no classifier.
    """

    key: CellKey
    verdict: SpeedVerdict = Field(description="Of B: faster or slower if the whole interval of the speed-up says so.")
    reason: Optional[str] = Field(description="Why there is no speed-up; null if there is.")
    median_a_ms: Optional[NonNegative]
    median_b_ms: Optional[NonNegative]
    speedup: Optional[IntervalEstimate]
    energy_saving: Optional[IntervalEstimate]
    natural_change: Optional[AccuracyChange]
    robust_change: Optional[AccuracyChange]
    metrics: Tuple[MetricComparison, ...] = Field((), description="Those of the task that lead.")


class Comparison(Reading):
    """The comparison of two runs, in the order of the cells of ``a``."""

    a: Side
    b: Side
    cells: Tuple[CellComparison, ...]
    differences: Tuple[Difference, ...]
    only_a: Tuple[CellKey, ...] = Field(description="Cells that B does not have.")
    only_b: Tuple[CellKey, ...] = Field(description="Cells that A does not have.")
    profiles: Tuple[ProfileComparison, ...] = Field((), description="Layer by layer, of what both profiled.")


def compare(a: Run, b: Run) -> Comparison:
    """``b`` against ``a``. Without a cell in common ``cells`` is empty, and each is in ``only_a`` or ``only_b``."""
    profiles = compare_profiles(a.job.cells, b.job.cells)
    before = _but({each.a for each in profiles}, a.job.cells)
    after = _but({each.b for each in profiles}, b.job.cells)
    return Comparison(
        a=_side(a),
        b=_side(b),
        cells=tuple(
            _compare_cells(cell, after[key], _metrics(a, b, key.variant))
            for key, cell in before.items()
            if key in after
        ),
        differences=differences(a, b),
        only_a=tuple(key for key in before if key not in after),
        only_b=tuple(key for key in after if key not in before),
        profiles=profiles,
    )


def _but(profiled: Set[CellKey], cells: Sequence[Cell]) -> Dict[CellKey, Cell]:
    """The cells whose times are compared: those that are not ``profiled``."""
    return {cell.key: cell for cell in cells if cell.key not in profiled}


def _side(run: Run) -> Side:
    found = findings_of(run.job, run.manifest, is_simulated=run.device.simulated, partial=run.partial)
    return Side(
        source=run.source,
        bundle=None if run.manifest is None else run.manifest.name,
        bundle_id=run.job.request.model_id,
        job_id=run.job.id,
        label=run.job.request.label,
        finished_at=run.job.finished_at,
        partial=run.partial,
        verdicts=found.verdicts,
    )


def _metrics(a: Run, b: Run, network: str) -> Tuple[MetricComparison, ...]:
    """What the host found of ``network`` in the bundles of both, as far as it leads in either."""
    found = [
        {} if run.manifest is None else {each.name: each for each in metrics_in(run.manifest, network)}
        for run in (a, b)
    ]
    words = {each.name: each.words for side in found for each in side.values() if each.leads}
    shown = [{name: each.shown for name, each in side.items()} for side in found]
    return tuple(
        MetricComparison(name=name, words=called, a=shown[0].get(name), b=shown[1].get(name))
        for name, called in words.items()
    )


def _compare_cells(a: Cell, b: Cell, metrics: Tuple[MetricComparison, ...]) -> CellComparison:
    reasons = [f"{name}: {reason}" for name, reason in (("A", why_untimed(a)), ("B", why_untimed(b))) if reason]
    speedup = None if reasons else unpaired_ratio(_windows_ms(a), _windows_ms(b))
    if not reasons and speedup is None:
        reasons = ["an interval needs two windows of each"]
    return CellComparison(
        key=a.key,
        verdict="not measured" if speedup is None else direction(speedup),
        reason="; ".join(reasons) or None,
        median_a_ms=a.latency.median_ms if a.latency else None,
        median_b_ms=b.latency.median_ms if b.latency else None,
        speedup=speedup,
        energy_saving=_energy_saving(a.power, b.power),
        natural_change=_change(a.parity, b.parity, "natural"),
        robust_change=_change(a.parity, b.parity, "robust"),
        metrics=metrics,
    )


def _windows_ms(cell: Cell) -> List[float]:
    return [window.median_ms for window in cell.rounds]


class _LogEnergy(NamedTuple):
    """The logarithm of the energy of one inference, and how far its interval reaches to both sides."""

    centre: float
    below: float
    above: float
    level: float


def _energy_saving(a: Optional[Power], b: Optional[Power]) -> Optional[IntervalEstimate]:
    """How many times less energy ``b`` takes per inference, from the intervals of both."""
    before, after = _log_energy(a), _log_energy(b)
    if before is None or after is None:
        return None
    return from_logs(
        before.centre - after.centre,
        below=math.hypot(before.below, after.above),
        above=math.hypot(before.above, after.below),
        level=min(before.level, after.level),
    )


def _log_energy(power: Optional[Power]) -> Optional[_LogEnergy]:
    if power is None or not power.energy_per_inference_mj or power.energy_interval is None:
        return None
    interval = power.energy_interval
    if interval.low <= 0 or interval.high <= 0:
        return None
    centre = math.log(power.energy_per_inference_mj)
    return _LogEnergy(centre, centre - math.log(interval.low), math.log(interval.high) - centre, interval.level)


def _change(a: Optional[Parity], b: Optional[Parity], kind: Literal["natural", "robust"]) -> Optional[AccuracyChange]:
    before: Optional[Proportion] = getattr(a, kind, None)
    after: Optional[Proportion] = getattr(b, kind, None)
    return None if before is None or after is None else accuracy_change(before, after)
