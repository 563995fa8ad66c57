"""Limits on metrics that the host measured, such as the share of detections that are kept. Pure.

That the device computes what the host computed is what parity says; so a metric is measured once, on the host. PASS
means that its fall on those images is within the limit. A fall beyond it is FAIL only if the interval shows that there
is one, else INCONCLUSIVE.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gdws.gate.verdicts import Outcome, Verdict, unknown
from gdws_contract.findings import text
from gdws_contract.findings.metrics import change_of, higher_is_better, in_words, shown
from gdws_contract.manifest import HostEvaluation


@dataclass(frozen=True)
class Evaluations:
    """What the host found for a network, and for the one that it is compared with, called ``beside``; None: nothing."""

    own: HostEvaluation | None = None
    reference: HostEvaluation | None = None
    beside: str = "the baseline"


def drop_verdicts(limits: Mapping[str, float], subject: str, found: Evaluations) -> list[Verdict]:
    """One verdict for each metric that has a limit, in points: hundredths of it."""
    return [_drop(name, allowed, subject, found) for name, allowed in limits.items()]


def _drop(name: str, allowed: float, subject: str, found: Evaluations) -> Verdict:
    limit = f"max_drop_points.{name}"
    doubt = _doubt(name, found)
    if doubt is not None:
        return unknown(limit, subject, doubt, allowed, "points")
    own, reference = found.own, found.reference
    assert own is not None  # else there would be a doubt
    assert reference is not None
    after, before = own.metrics[name], reference.metrics[name]
    sign = 1 if higher_is_better(after) else -1
    fall, change = 100 * sign * (before.value - after.value), change_of(name, own, reference)
    ends = [] if change is None else sorted((-sign * change.low, -sign * change.high))
    # Rounded, since 0.93 less 0.92 is one point only up to the last bit.
    within = round(fall, 6) <= allowed
    outcome: Outcome = "PASS" if within else "FAIL" if ends and ends[0] > 0 else "INCONCLUSIVE"
    interval = f"interval {text.points(ends[0])} to {text.points(ends[1])}" if ends else "interval not known"
    sentence = (
        f"{subject}: {in_words(name)} {shown(after)} against {shown(before)} of {found.beside}, worse by "
        f"{text.points(fall)} points ({interval}, {own.data}), limit {allowed:g}: {outcome}."
    )
    low, high = ends or (None, None)
    return Verdict(limit, subject, outcome, sentence, fall, low, high, allowed, "points")


def _doubt(name: str, found: Evaluations) -> str | None:
    """Why nothing can be said of the metric, as a clause; None if something can."""
    own, reference, words = found.own, found.reference, in_words(name)
    for evaluation, whose in ((own, "the candidate"), (reference, found.beside)):
        if evaluation is None:
            return f"{words} cannot be judged: no evaluation of {whose} is known"
        if name not in evaluation.metrics:
            known = ", ".join(evaluation.metrics) or "nothing"
            return f"{words} cannot be judged: of {whose} there is no metric {name!r}, but {known}"
    assert own is not None
    assert reference is not None
    if own.origin == "noise":
        return f"{words} cannot be judged: the images are noise"
    if (own.data, own.origin) != (reference.data, reference.origin):
        return f"{words} cannot be compared: that of {found.beside} is of {reference.data}, and not of {own.data}"
    return None
