"""Limits on what does not vary between runs: parity, accuracy on the bundle's images, sizes, and the build. Pure.

Accuracy is judged on the images in the bundle: PASS means that the figure on them is within the limit. A figure beyond
it is FAIL only if it is significant (exact McNemar test at :data:`CHANCE`), otherwise INCONCLUSIVE: more images are
needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from gdws.gate.figures import Run, Subject
from gdws.gate.limits import Limits
from gdws.gate.metric_drops import Evaluations, drop_verdicts
from gdws.gate.run_figures import run_verdicts
from gdws.gate.verdicts import Outcome, Verdict, unknown
from gdws_contract.findings import text
from gdws_contract.findings.accuracy import accuracy_change
from gdws_contract.findings.cells import why_untimed
from gdws_contract.findings.intervals import wilson
from gdws_contract.measures import Proportion
from gdws_contract.rest import Cell

#: Above this one-sided probability a change of accuracy is attributed to chance.
CHANCE = 0.01
#: Level of the intervals of accuracies, consistent with :data:`CHANCE`.
_LEVEL = 0.98

Kind = Literal["natural", "robust"]


@dataclass(frozen=True)
class Flips:
    """Numbers of images that only the baseline, or only the candidate, classifies correctly."""

    lost: int
    gained: int


@dataclass(frozen=True)
class NetworkFacts:
    """Facts on one network from the bundles; None if the baseline is unknown or was recorded on other images."""

    size_bytes: int
    baseline_size_bytes: int | None = None
    natural: Flips | None = None
    robust: Flips | None = None
    untrusted: str | None = None  # why its robust accuracy cannot be trusted
    evaluations: Evaluations = field(default_factory=Evaluations)


#: Accuracies of a baseline that is not measured in this gate, by subject and kind.
Accuracies = Mapping[tuple[Subject, Kind], Proportion]


@dataclass(frozen=True)
class Doubts:
    """Why accuracies cannot be judged, by kind: the candidate's ``alone``, or ``against`` the baseline's.

    See :mod:`gdws.gate.evidence`.
    """

    alone: Mapping[Kind, str] = field(default_factory=dict)
    against: Mapping[Kind, str] = field(default_factory=dict)


def fact_verdicts(
    limits: Limits,
    runs: Sequence[Run],
    networks: Mapping[str, NetworkFacts],
    accuracies: Accuracies | None,
    doubts: Doubts,
) -> list[Verdict]:
    """The verdicts on every subject of the candidate in any run."""
    found: list[Verdict] = []
    for subject in dict.fromkeys(subject for run in runs for subject in run.candidate):
        cells = [run.candidate[subject] for run in runs if subject in run.candidate]
        beside = [run.baseline[subject] for run in runs if subject in run.baseline]
        facts = networks[subject.network]
        found.append(_serves(subject, cells, beside))
        for kind in _KINDS:
            found += _accuracy(limits, subject, kind, cells, beside, facts, accuracies, doubts)
        found += drop_verdicts(limits.max_drop_points, str(subject), facts.evaluations)
        found += _sizes(limits, subject, facts)
        found += _build(limits, subject, cells)
        found += run_verdicts(limits, subject, cells)
    return found


def is_settled_failure(verdicts: Sequence[Verdict], runs: int) -> bool:
    """Whether there is a failure that further runs cannot change, confirmed by a second run."""
    return runs >= 2 and any(verdict.outcome == "FAIL" for verdict in verdicts)


def chance(flips: Flips) -> float:
    """The probability of at least this many losses if losses and gains were equally likely (McNemar, 1947; exact)."""
    from scipy.special import bdtrc

    return 1.0 if flips.lost == 0 else float(bdtrc(flips.lost - 1, flips.lost + flips.gained, 0.5))


_KINDS: tuple[Kind, ...] = ("natural", "robust")


def _serves(subject: Subject, cells: Sequence[Cell], beside: Sequence[Cell]) -> Verdict:
    """Whether the engine was built and passed parity in every run."""
    bad = [cell for cell in cells if not _is_measured(cell)]
    if not bad:
        parities = [cell.parity for cell in cells if cell.parity is not None]
        worst = max(parity.max_rel_diff or 0.0 for parity in parities)
        tolerance = max(parity.tolerance_rel for parity in parities)
        limit = f"limit {tolerance:g}"
        if worst > tolerance:
            floor = max((output.tolerance_abs for parity in parities for output in parity.outputs), default=0.0)
            limit = f"and by less than {floor:g} where that is above {tolerance:g}"
        sentence = f"{subject}: outputs differ from the host's by {worst:.1e} of the largest, {limit}: PASS."
        return Verdict("parity", str(subject), "PASS", sentence, figure=worst, allowed=tolerance)
    limit = "engine" if bad[0].state == "failed" else "parity"
    reason = _reason(bad[0])
    outcome: Outcome = "FAIL"
    if any(cell.state == "done" for cell in bad):
        outcome, reason = "INCONCLUSIVE", "its outputs were not compared with the host's in every run"
    elif len(bad) < len(cells) or len(cells) < 2:
        outcome, reason = "INCONCLUSIVE", f"{reason} in {len(bad)} of {text.plural(len(cells), 'run')}"
    elif limit == "engine" and beside and all(cell.state == "failed" for cell in beside):
        outcome, reason = "INCONCLUSIVE", f"{reason}, as does the baseline"
    return Verdict(limit, str(subject), outcome, f"{subject}: {reason}: {outcome}.")


def _reason(cell: Cell) -> str:
    what = "it cannot be measured" if cell.error is not None else "it fails parity"
    return f"{what} ({(why_untimed(cell) or '').rstrip('.')})"


def _accuracy(
    limits: Limits,
    subject: Subject,
    kind: Kind,
    cells: Sequence[Cell],
    beside: Sequence[Cell],
    facts: NetworkFacts,
    accuracies: Accuracies | None,
    doubts: Doubts,
) -> list[Verdict]:
    own, drop, least = (
        accuracy_of(cells, kind, min),
        getattr(limits, f"max_{kind}_drop_points"),
        getattr(limits, f"min_{kind}_percent"),
    )
    found = []
    if kind == "robust" and facts.untrusted is not None:
        asked = ((f"min_{kind}_percent", least, "%"), (f"max_{kind}_drop_points", drop, "points"))
        return [
            unknown(name, subject, facts.untrusted, allowed, unit)
            for name, allowed, unit in asked
            if allowed is not None
        ]
    if least is not None:
        found.append(_least(subject, kind, own, least, doubts.alone.get(kind)))
    if drop is not None:
        before = accuracy_of(beside, kind, max) if accuracies is None else accuracies.get((subject, kind))
        flips: Flips | None = getattr(facts, kind) if accuracies is None else None
        found.append(_drop(subject, kind, own, before, drop, flips, doubts.against.get(kind)))
    return found


def _least(subject: Subject, kind: Kind, own: Proportion | None, least: float, doubt: str | None) -> Verdict:
    limit = f"min_{kind}_percent"
    if own is None:
        return unknown(limit, subject, f"{kind} accuracy was not measured in every run", least, "%")
    if doubt is not None:
        return unknown(limit, subject, f"{kind} accuracy cannot be judged: {doubt}", least, "%")
    low, high = (100 * end for end in wilson(own.successes, own.count, level=_LEVEL))
    figure = 100 * own.value
    outcome: Outcome = "PASS" if figure >= least else "FAIL" if high < least else "INCONCLUSIVE"
    sentence = (
        f"{subject}: {kind} accuracy {figure:.1f} % of {text.plural(own.count, 'image')} (interval {low:.1f} to "
        f"{high:.1f} %), limit {least:g} %: {outcome}."
    )
    return Verdict(limit, str(subject), outcome, sentence, figure, low, high, least, "%")


def _drop(
    subject: Subject,
    kind: Kind,
    own: Proportion | None,
    before: Proportion | None,
    drop: float,
    flips: Flips | None,
    doubt: str | None,
) -> Verdict:
    limit = f"max_{kind}_drop_points"
    if doubt is not None:
        return unknown(limit, subject, f"{kind} accuracy cannot be compared: {doubt}", drop, "points")
    if own is None or before is None or own.count != before.count:
        return unknown(limit, subject, f"{kind} accuracy was not measured on the same images of both", drop, "points")
    change = accuracy_change(before, own)
    fall = -change.points
    # Rounded, since 93.0 % less 92.0 % is one point only up to the last bit.
    within = round(fall, 6) <= drop
    shown = change.high < 0 if flips is None else chance(flips) <= CHANCE
    outcome: Outcome = "PASS" if within else "FAIL" if shown else "INCONCLUSIVE"
    moved = "" if flips is None else f"; {flips.lost} lost, {flips.gained} gained"
    sentence = (
        f"{subject}: {kind} accuracy {100 * own.value:.1f} % against {100 * before.value:.1f} %, a drop of "
        f"{text.points(fall)} points (interval {text.points(-change.high)} to {text.points(-change.low)}, "
        f"{text.plural(own.count, 'image')}{moved}), limit {drop:g}: {outcome}."
    )
    return Verdict(limit, str(subject), outcome, sentence, fall, -change.high, -change.low, drop, "points")


def _sizes(limits: Limits, subject: Subject, facts: NetworkFacts) -> list[Verdict]:
    found = []
    if limits.max_size_mib is not None:
        size = facts.size_bytes / 2**20
        found.append(_exact("max_size_mib", subject, "ONNX file", size, limits.max_size_mib, "MiB"))
    if limits.max_size_increase_percent is not None:
        limit, allowed = "max_size_increase_percent", limits.max_size_increase_percent
        if facts.baseline_size_bytes is None:
            found.append(unknown(limit, subject, "the size of the baseline is not known", allowed, "%"))
        else:
            growth = 100 * (facts.size_bytes / facts.baseline_size_bytes - 1)
            found.append(_exact(limit, subject, "ONNX file grew by", growth, allowed, "%"))
    return found


def _build(limits: Limits, subject: Subject, cells: Sequence[Cell]) -> list[Verdict]:
    if limits.max_build_s is None:
        return []
    times = [cell.build.time_s for cell in cells if cell.build is not None and not cell.build.from_cache]
    if not times:
        return [unknown("max_build_s", subject, "no build of the engine was timed", limits.max_build_s, "s")]
    return [_exact("max_build_s", subject, "slowest build", max(times), limits.max_build_s, "s")]


def _exact(limit: str, subject: Subject, words: str, figure: float, allowed: float, unit: str) -> Verdict:
    outcome: Outcome = "PASS" if figure <= allowed else "FAIL"
    sentence = f"{subject}: {words} {text.significant(figure)} {unit}, limit {allowed:g} {unit}: {outcome}."
    return Verdict(limit, str(subject), outcome, sentence, figure, None, None, allowed, unit)


def accuracy_of(cells: Sequence[Cell], kind: Kind, choose: Callable[..., Proportion]) -> Proportion | None:
    """The ``min`` or ``max`` of the accuracy on the device over all runs; None if any run lacks it.

    The engines of the runs differ, and may classify borderline images differently.
    """
    found: list[Proportion | None] = [getattr(cell.parity, kind) if _is_measured(cell) else None for cell in cells]
    known = [each for each in found if each is not None]
    return choose(known, key=lambda each: each.value) if known and len(known) == len(found) else None


def _is_measured(cell: Cell) -> bool:
    """Whether the engine ran and passed parity."""
    return cell.state == "done" and cell.parity is not None and cell.parity.passed
