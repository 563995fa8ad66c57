"""The metrics of networks that are not classifiers, in the words of their task, beside the baseline's.

A metric is against true labels, as mAP is, or against what the baseline gives for the same images, as the share of
its detections that are kept. The first is a quality: its fall has a price. The second is agreement, which says
nothing of quality by itself; but a network that gives other answers than the baseline is not the same network.
"""

from __future__ import annotations

import math
from typing import Dict, List, Mapping, NamedTuple, Optional, Tuple

from pydantic import Field
from typing_extensions import Literal

from gdws_contract.base import Reading
from gdws_contract.manifest import NATURAL_ACCURACY, ROBUST_ACCURACY, HostEvaluation
from gdws_contract.measures import Metric, Proportion

from . import text
from .accuracy import AccuracyChange, accuracy_change


class _Measure(NamedTuple):
    """What a metric is called in words, and what it is against; None: not known, a metric of the user's own.

    ``about`` says what it is. ``limit`` is what agreement must reach for the answers to count as the baseline's, None
    if that is not judged by it. ``leads`` says that it is shown where there is room for few.
    """

    words: str
    about: str
    against: Optional[Literal["labels", "baseline"]]
    limit: Optional[float] = None
    leads: bool = True


#: The metrics that tasks measure. Of several outputs each has its own, whose name follows after a dot.
MEASURES: Mapping[str, _Measure] = {
    "map": _Measure("mAP at IoU 0.5 to 0.95", "mean average precision over classes and ten IoU thresholds", "labels"),
    "map_50": _Measure("mAP at IoU 0.5", "mean average precision over classes at that IoU", "labels"),
    "mean_iou": _Measure(
        "mean IoU", "intersection over union of each class with the labels, in the mean over classes", "labels"
    ),
    "pixel_accuracy": _Measure("pixel accuracy", "share of labelled pixels whose class is right", "labels"),
    "agreement": _Measure(
        "same class as the baseline", "share of images that both give the same class", "baseline", 0.9
    ),
    "detections_kept": _Measure(
        "detections kept", "share of the objects that the baseline finds and this network finds too", "baseline", 0.9
    ),
    "detections_confirmed": _Measure(
        "detections confirmed",
        "share of the objects that this network finds and the baseline finds too",
        "baseline",
        0.9,
        leads=False,
    ),
    "pixel_agreement": _Measure("pixels that agree", "share of pixels that both give the same class", "baseline", 0.9),
    "iou_agreement": _Measure(
        "mean IoU with the baseline",
        "intersection over union of the regions of each class in both networks, in the mean over classes",
        "baseline",
        0.8,
    ),
    "equal": _Measure("equal entries", "share of entries of an integer output that are the same", "baseline", 0.9),
    "cosine": _Measure(
        "cosine similarity", "of the output vectors of both networks, in the mean over images", "baseline", 0.99
    ),
    "relative_error": _Measure(
        "relative error", "root of the squared difference of the outputs over the squared output", "baseline", 0.1
    ),
    "largest_error": _Measure(
        "largest error", "largest difference of any entry, in the unit of the output", "baseline", leads=False
    ),
}


class MetricFinding(Reading):
    """One metric of one network."""

    name: str
    words: str = Field(description="What it is called, e.g. 'detections kept'.")
    title: str = Field(description="The same at the head of a column.")
    shown: str = Field(description="Its value as people read it, e.g. '97.5 % (39 of 40)'.")
    interval: Optional[str] = Field(description="Its 95 % interval as people read it; null: not known.")
    value: Metric
    is_agreement: bool = Field(description="It is against the baseline's outputs; else against true labels.")
    leads: bool = Field(description="Whether it is one of the leading metrics, for compact displays.")
    kept: Optional[bool] = Field(description="Whether agreement is high enough to count; null: not judged.")
    change: Optional[AccuracyChange] = Field(description="Against the baseline's, in points; null for agreement.")


def metrics_of(own: HostEvaluation, baseline: Optional[HostEvaluation]) -> Tuple[MetricFinding, ...]:
    """What ``own`` tells beside accuracies: the user's own metrics, then those with labels, then agreement.

    ``baseline`` is None for the baseline itself. Of several outputs the worst leads.
    """
    leading = _leading(own.metrics)
    found = []
    for name, value in sorted(own.metrics.items(), key=lambda item: _rank(item[0])):
        if name in (NATURAL_ACCURACY, ROBUST_ACCURACY):
            continue
        measure, words = _measure(name)
        is_agreement = measure.against == "baseline" or (measure.against is None and own.origin != "labelled")
        found.append(
            MetricFinding(
                name=name,
                words=words,
                title=text.capitalised(words),
                shown=shown(value),
                interval=_interval(value),
                value=value,
                is_agreement=is_agreement,
                leads=name in leading,
                kept=None if own.origin == "noise" else _kept(measure, value),
                change=change_of(name, own, baseline) if measure.against == "labels" and baseline else None,
            )
        )
    return tuple(found)


def summary(evaluation: HostEvaluation) -> List[str]:
    """What ``evaluation`` found, in words: accuracies of a classifier, of others the metrics that lead."""
    kind = "accuracy" if evaluation.origin == "labelled" else "agreement"
    found = [
        f"{word} {kind} {shown(value)}"
        for word, value in (("natural", evaluation.natural), ("robust", evaluation.robust))
        if value is not None
    ]
    return [*found, *(f"{each.words} {each.shown}" for each in metrics_of(evaluation, None) if each.leads)]


def in_words(name: str) -> str:
    """What the metric ``name`` is called: ``relative_error.boxes`` is ``relative error of boxes``."""
    return _measure(name)[1]


def definition(name: str) -> str:
    """What the metric ``name`` measures, in a clause; the same for each of several outputs."""
    measure = _measure(name)[0]
    return f"{measure.words}: {measure.about}"


def shown(value: Metric) -> str:
    """``97.5 % (39 of 40)``, or a number with its unit."""
    if isinstance(value, Proportion):
        return f"{text.percent(value.value)} ({text.whole(value.successes)} of {text.whole(value.count)})"
    return text.metric(value)


def change_of(name: str, own: HostEvaluation, baseline: HostEvaluation) -> Optional[AccuracyChange]:
    """How the metric ``name`` changed in points, hundredths of a figure that is no proportion.

    None unless both are of the same images and their intervals are known. The interval takes the two as independent
    (Zou and Donner, 2008): of the same images it is wider than need be.
    """
    after, before = own.metrics.get(name), baseline.metrics.get(name)
    if after is None or before is None or own.data != baseline.data or own.origin != baseline.origin:
        return None
    if isinstance(after, Proportion) and isinstance(before, Proportion) and name in (NATURAL_ACCURACY, ROBUST_ACCURACY):
        return accuracy_change(before, after)
    if after.interval is None or before.interval is None:
        return None
    difference = after.value - before.value
    below = math.hypot(after.value - after.interval.low, before.interval.high - before.value)
    above = math.hypot(after.interval.high - after.value, before.value - before.interval.low)
    return AccuracyChange(points=100 * difference, low=100 * (difference - below), high=100 * (difference + above))


def higher_is_better(value: Metric) -> bool:
    """Whether more of it is better."""
    return isinstance(value, Proportion) or value.higher_is_better


def _measure(name: str) -> Tuple[_Measure, str]:
    """The measure that ``name`` is of, and the words for it."""
    kind, _, output = name.partition(".")
    if kind not in MEASURES:
        own = name.replace("_", " ")
        return _Measure(own, "a measure of the user's own", None), own
    measure = MEASURES[kind]
    return measure, f"{measure.words} of {output}" if output else measure.words


def _rank(name: str) -> int:
    """Where the metric ``name`` stands among others; manifests hold them by name."""
    kind = name.partition(".")[0]
    return list(MEASURES).index(kind) if kind in MEASURES else -1


def _leading(metrics: Mapping[str, Metric]) -> List[str]:
    """The names of the metrics that lead: of each measure that does, the worst of its outputs."""
    by_measure: Dict[str, List[str]] = {}
    for name in metrics:
        measure, words = _measure(name)
        if measure.leads:
            by_measure.setdefault(words if measure.against is None else measure.words, []).append(name)
    return [min(names, key=lambda name: _goodness(metrics[name])) for names in by_measure.values()]


def _goodness(value: Metric) -> float:
    return value.value if higher_is_better(value) else -value.value


def _kept(measure: _Measure, value: Metric) -> Optional[bool]:
    if measure.limit is None:
        return None
    return value.value >= measure.limit if higher_is_better(value) else value.value <= measure.limit


def _interval(value: Metric) -> Optional[str]:
    if isinstance(value, Proportion):
        return None if value.interval is None else text.percent_interval(value)
    interval = value.interval
    return None if interval is None else f"{text.significant(interval.low)}–{text.significant(interval.high)}"
