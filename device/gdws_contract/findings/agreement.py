"""How far a network's answers are from the baseline's, in one figure, for the tasks that have no accuracy."""

from __future__ import annotations

from typing import Mapping, NamedTuple, Optional

from gdws_contract.measures import Metric, Proportion

#: What agreement with the baseline is called, by the kind of the task.
AGREEMENT: Mapping[str, str] = {
    "detection": "detections kept",
    "segmentation": "pixels that agree",
    "outputs": "agreement of the outputs",
}
#: Percentage points of agreement that a network may lose, unless the user says otherwise.
LIMIT_POINTS = 10.0
#: The metrics of one image set that are shares of agreement, or relative errors.
_JUDGED = ("detections_kept", "pixel_agreement", "equal", "relative_error")


class Disagreement(NamedTuple):
    """Percentage points to full agreement, with 95 % limits where they are known."""

    points: float
    low: Optional[float]
    high: Optional[float]


def disagreement(metrics: Mapping[str, Metric]) -> Optional[Disagreement]:
    """That of the output that agrees least; None if no metric tells.

    A relative error counts as so many percent of disagreement.
    """
    found = [_points(value) for name, value in metrics.items() if name.split(".", 1)[0] in _JUDGED]
    return max(found, default=None, key=lambda each: each.points)


def _points(value: Metric) -> Disagreement:
    interval = value.interval
    ends = (None, None) if interval is None else (100 * interval.low, 100 * interval.high)
    if not (isinstance(value, Proportion) or value.higher_is_better):
        return Disagreement(100 * value.value, *ends)
    low, high = ends
    return Disagreement(
        100 - 100 * value.value, None if high is None else 100 - high, None if low is None else 100 - low
    )
