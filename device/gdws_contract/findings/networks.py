"""The size and accuracy of each network of a bundle relative to the baseline, from the host's record."""

from __future__ import annotations

from typing import Optional, Tuple

from pydantic import Field
from typing_extensions import Literal

from gdws_contract.base import Name, NonNegative, Reading
from gdws_contract.manifest import NATURAL_ACCURACY, ROBUST_ACCURACY, HostEvaluation, Manifest, Variant
from gdws_contract.measures import Proportion

from .accuracy import AccuracyChange
from .metrics import MetricFinding, change_of, metrics_of

AccuracyKind = Literal["robust", "natural"]


class NetworkFindings(Reading):
    """One network beside the baseline, as far as it is known. Ratios are the baseline's over this one's.

    Accuracies are on labelled images alone. Where the baseline's own answers are the labels, there is ``agreement``.
    What is no classifier has ``metrics`` in their place.
    """

    name: Name
    macs_ratio: Optional[NonNegative]
    parameters_ratio: Optional[NonNegative]
    natural: Optional[Proportion]
    robust: Optional[Proportion]
    agreement: Optional[Proportion] = Field(description="Share of images whose answer is the baseline's.")
    natural_change: Optional[AccuracyChange]
    robust_change: Optional[AccuracyChange]
    is_untrusted: bool = Field(description="The attack that its robust accuracy was measured under is known to fail.")
    metrics: Tuple[MetricFinding, ...] = Field((), description="Of networks that are not classifiers; by task.")
    is_dense: bool = Field(False, description="Its convolutions are those of the baseline, e.g. the dense one in INT8.")


def networks_of(manifest: Manifest) -> Tuple[NetworkFindings, ...]:
    """The findings on each network of ``manifest``, in its order."""
    baseline = manifest.variant(manifest.baseline)
    return tuple(_network(variant, baseline) for variant in manifest.variants)


def metrics_in(manifest: Manifest, name: str) -> Tuple[MetricFinding, ...]:
    """What the host found of the network ``name`` beside accuracies; nothing where there is no such network."""
    return next((each.metrics for each in networks_of(manifest) if each.name == name), ())


def _network(variant: Variant, baseline: Variant) -> NetworkFindings:
    reference = None if variant is baseline else baseline
    before, after = (each.evaluation if each else None for each in (reference, variant))
    return NetworkFindings(
        name=variant.name,
        macs_ratio=_ratio(reference.macs, variant.macs) if reference else None,
        parameters_ratio=_ratio(reference.parameters, variant.parameters) if reference else None,
        natural=after.natural if after and is_labelled(after) else None,
        robust=after.robust if after and is_labelled(after) else None,
        agreement=after.natural if after and not is_labelled(after) else None,
        natural_change=_change(before, after, "natural"),
        robust_change=_change(before, after, "robust"),
        is_untrusted=after is not None and _attack_fails(after),
        metrics=() if after is None else metrics_of(after, before),
        is_dense=not any(step.kind in ("gdws", "prune") for step in variant.steps),
    )


def _change(
    before: Optional[HostEvaluation], after: Optional[HostEvaluation], kind: AccuracyKind
) -> Optional[AccuracyChange]:
    """The change of one accuracy, if both were measured on the same images under one attack that did not fail."""
    if before is None or after is None or before.data != after.data or not is_labelled(before, after):
        return None
    was, is_now = accuracy_of(before, kind), accuracy_of(after, kind)
    if was is None or is_now is None or was.count != is_now.count:
        return None
    if kind == "robust" and (before.attack != after.attack or _attack_fails(before) or _attack_fails(after)):
        return None
    return change_of(NATURAL_ACCURACY if kind == "natural" else ROBUST_ACCURACY, after, before)


def is_labelled(*evaluations: HostEvaluation) -> bool:
    """Whether the labels are the truth, so that agreeing with them is accuracy."""
    return all(each.origin == "labelled" for each in evaluations)


def accuracy_of(evaluation: HostEvaluation, kind: AccuracyKind) -> Optional[Proportion]:
    """The accuracy of that ``kind``; None if it was not measured."""
    return evaluation.robust if kind == "robust" else evaluation.natural


def _attack_fails(evaluation: HostEvaluation) -> bool:
    return evaluation.attack_check is not None and not evaluation.attack_check.trusted


def _ratio(before: Optional[int], after: Optional[int]) -> Optional[float]:
    return before / after if before is not None and after else None
