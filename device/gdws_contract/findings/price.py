"""The price of a network's speed: its loss of accuracy, or what is known instead.

``Price`` is a fall that labels show; ``Remark`` is agreement with the baseline, or metrics that have no tolerance.
"""

from __future__ import annotations

from typing import NamedTuple, Optional

from gdws_contract.manifest import HostEvaluation
from gdws_contract.measures import LatencySummary, Metric, Proportion
from gdws_contract.rest import Cell

from . import text
from .accuracy import AccuracyChange
from .metrics import MetricFinding
from .networks import AccuracyKind, NetworkFindings, accuracy_of

#: The fall in accuracy, in percentage points, up to which a network counts as keeping it.
TOLERANCE_POINTS = 1.0

#: The share of the baseline's answers from which on a classifier counts as giving them.
KEPT_AGREEMENT = 0.9


class Judged(NamedTuple):
    """One network in one setting, as far as it is known.

    ``reason`` says why its ``cell`` has no times; ``evaluation`` is the host's, and ``network`` what this says of it
    beside the baseline.
    """

    variant: str
    cell: Optional[Cell]
    reason: Optional[str]
    evaluation: Optional[HostEvaluation]
    network: Optional[NetworkFindings]

    @property
    def latency(self) -> Optional[LatencySummary]:
        """Its times; None if there are none."""
        return self.cell.latency if self.cell else None


class Price(NamedTuple):
    """What a network gave up of one kind of accuracy, or of another metric with labels.

    ``conditions`` are what it was measured under, e.g. the attack.
    """

    words: str
    change: AccuracyChange
    after: Metric
    before: Metric
    conditions: str

    def __str__(self) -> str:
        """``robust accuracy 93.1 % against 93.9 % (PGD-40, 1,000 images)``."""
        return f"{self.words} {text.metric(self.after)} against {text.metric(self.before)} ({self.conditions})"

    @property
    def quality(self) -> str:
        """What is given up: accuracy of either kind, or the metric by its name."""
        return "accuracy" if self.words.endswith("accuracy") else self.words

    @property
    def images(self) -> str:
        """On how many images it rests, as far as that is known."""
        return text.plural(self.after.count, "image") if isinstance(self.after, Proportion) else "these images"

    @property
    def is_kept(self) -> bool:
        """Whether the fall is within the tolerance."""
        # Rounded, since 93.0 % less 92.0 % is one point only up to the last bit.
        return round(self.change.points, 6) >= -TOLERANCE_POINTS


class Remark(NamedTuple):
    """What is known of a network's quality where no accuracy is: agreement with the baseline, or other metrics.

    ``kept`` says whether the agreement is enough for the same answers; None if it is not judged.
    """

    words: str
    is_agreement: bool
    kept: Optional[bool]


def remark_of(own: Judged, baseline: Judged) -> Optional[Remark]:
    """What is known of ``own`` beside ``baseline`` where there is no accuracy on labelled images."""
    before, after = baseline.evaluation, own.evaluation
    if before is None or after is None or own.network is None or before.data != after.data:
        return None
    if own.network.agreement is not None:
        return _agreement(own.network.agreement, is_noise=after.origin == "noise")
    metrics = own.network.metrics
    if not metrics or before.natural is not None or before.robust is not None:
        return None
    told = [_told(each, before) for each in metrics if each.leads or each.kept is False]
    is_agreement = all(each.is_agreement for each in metrics)
    words = f"on {after.data}: {text.listed(told)}"
    if is_agreement:
        words += "; without true labels its accuracy is not known"
    judged = [each.kept for each in metrics if each.kept is not None]
    return Remark(words, is_agreement, all(judged) if judged else None)


def _agreement(agreement: Proportion, *, is_noise: bool) -> Remark:
    """Of a classifier, whose answers are classes."""
    images = text.plural(agreement.count, "image") + (" of noise" if is_noise else "")
    words = f"it gives the baseline's answer on {text.percent(agreement.value)} of {images}"
    kept = None if is_noise else agreement.value >= KEPT_AGREEMENT
    return Remark(f"{words}, and without true labels its accuracy is not known", is_agreement=True, kept=kept)


def _told(metric: MetricFinding, before: HostEvaluation) -> str:
    """One metric in words; what is no agreement stands beside the baseline's."""
    beside = before.metrics.get(metric.name)
    against = "" if metric.is_agreement or beside is None else f" against {text.metric(beside)}"
    return f"{metric.words} {metric.shown if metric.is_agreement else text.metric(metric.value)}{against}"


def price_of(own: Judged, baseline: Judged) -> Optional[Price]:
    """The greatest of the falls in robust accuracy, natural accuracy and the task's metrics with labels.

    None if nothing can be compared. Where either network was attacked, natural accuracy alone does not do.
    """
    if own.evaluation is None or own.network is None or baseline.evaluation is None:
        return None
    prices = []
    after, before = own.evaluation, baseline.evaluation
    if own.network.robust_change is not None:
        prices.append(
            _priced("robust", own.network.robust_change, after, before, f"{text.attack_name(after.attack)}, ")
        )
    elif after.robust is not None or before.robust is not None:
        return None
    if own.network.natural_change is not None:
        prices.append(_priced("natural", own.network.natural_change, after, before, ""))
    prices += [
        Price(each.words, each.change, each.value, before.metrics[each.name], after.data)
        for each in own.network.metrics
        if each.change is not None
    ]
    return min(prices, key=lambda price: price.change.points, default=None)


def _priced(
    kind: AccuracyKind, change: AccuracyChange, after: HostEvaluation, before: HostEvaluation, under: str
) -> Price:
    found, was = accuracy_of(after, kind), accuracy_of(before, kind)
    assert found is not None  # without both there is no change
    assert was is not None
    return Price(f"{kind} accuracy", change, found, was, f"{under}{text.plural(found.count, 'image')}")


def why_no_price(baseline: Judged, own: Judged) -> str:
    if own.network is None:
        return "the bundle with its accuracies is no longer stored"
    untrusted = [each.variant for each in (own, baseline) if each.network is not None and each.network.is_untrusted]
    if untrusted:
        return f"the attack on {text.listed(untrusted)} cannot be trusted"
    return "its accuracy and the baseline's were not both evaluated"
