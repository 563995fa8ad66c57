"""Limits on figures that vary from run to run: latency, throughput, energy. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gdws.gate.figures import Run, Subject, log_figure
from gdws.gate.limits import TIMED_LIMITS, Limits, Measure, TimedLimit
from gdws.gate.sequential import Bound, Finding, Question, Spread
from gdws.gate.verdicts import Outcome, Verdict
from gdws_contract.findings import text
from gdws_contract.findings.setting import Setting

#: Looks up the calibrated spread of a measure in a setting: of the ratio to a paired network, or of the figure itself.
SpreadOf = Callable[[Setting, Measure, bool], Spread | None]
#: Logarithms of earlier observations of a baseline that is not measured in this gate, by subject and measure.
References = Mapping[tuple[Subject, Measure], tuple[float, ...]]


@dataclass(frozen=True)
class TimedQuestion:
    """One timed limit of one subject; ``paired``: the baseline is measured in turns with it."""

    limit: TimedLimit
    allowed: float
    subject: Subject
    paired: bool
    question: Question

    @property
    def key(self) -> str:
        return f"{self.limit.name}: {self.subject}"

    def observe(self, run: Run) -> float | None:
        """The observation of ``run``: a logarithm with the sign such that larger is worse; None if not measured."""
        own = log_figure(run.candidate.get(self.subject), self.limit.measure)
        if own is None:
            return None
        if self.limit.is_relative and self.paired:
            beside = log_figure(run.baseline.get(self.subject), self.limit.measure)
            return None if beside is None else self.limit.sign * (own - beside)
        return self.limit.sign * own


def timed_questions(
    limits: Limits, first: Run, spread_of: SpreadOf, references: References | None
) -> list[TimedQuestion]:
    """One question for each of ``limits`` and each subject of the first run.

    Questions relative to a baseline that is neither measured nor in ``references`` are left out; see
    :func:`without_baseline`.
    """
    found = []
    for limit, allowed in _set(limits):
        for subject in first.candidate:
            paired = references is None
            if limit.is_relative and paired and subject not in first.baseline:
                continue
            reference = () if paired else (references or {}).get((subject, limit.measure), ())
            if limit.is_relative and not paired and not reference:
                continue
            found.append(
                TimedQuestion(limit, allowed, subject, paired, _question(limit, allowed, subject, spread_of, reference))
            )
    return found


def without_baseline(limits: Limits, first: Run, asked: list[TimedQuestion]) -> list[Verdict]:
    """The verdicts on limits relative to a baseline that lacks the network."""
    keys = {(question.limit.name, question.subject) for question in asked}
    return [
        Verdict(
            limit.name,
            str(subject),
            "INCONCLUSIVE",
            f"{subject}: {limit.words} cannot be compared, since the baseline has no such network in this setting: "
            "INCONCLUSIVE.",
            allowed=allowed,
            unit=limit.unit,
        )
        for limit, allowed in _set(limits)
        for subject in first.candidate
        if limit.is_relative and (limit.name, subject) not in keys
    ]


def timed_verdict(asked: TimedQuestion, finding: Finding, *, pending: bool = False) -> Verdict:
    """The verdict of a finding. While runs are ``pending``, an unconfirmed FAIL is INCONCLUSIVE."""
    limit, bound = asked.limit, finding.bound
    outcome: Outcome = "INCONCLUSIVE"
    if finding.answer == "below":
        outcome = "PASS"
    elif finding.answer == "above" and not pending:
        outcome = "FAIL"
    low, high = (None, None) if bound is None else _ends(limit, bound)
    return Verdict(
        limit=limit.name,
        subject=str(asked.subject),
        outcome=outcome,
        sentence=f"{asked.subject}: {_sentence(asked, finding)}: {outcome}.",
        figure=None if bound is None else _value(limit, bound.mean),
        low=low,
        high=high,
        allowed=asked.allowed,
        unit=limit.unit,
    )


def _set(limits: Limits) -> list[tuple[TimedLimit, float]]:
    named = [(limit, getattr(limits, limit.name)) for limit in TIMED_LIMITS]
    return [(limit, allowed) for limit, allowed in named if allowed is not None]


def _question(
    limit: TimedLimit, allowed: float, subject: Subject, spread_of: SpreadOf, reference: tuple[float, ...]
) -> Question:
    if limit.is_relative:
        bound = math.log1p(allowed / 100)
        return Question(
            bound,
            distance=bound,
            spread=spread_of(subject.setting, limit.measure, not reference),
            reference=tuple(limit.sign * value for value in reference),
        )
    return Question(limit.sign * math.log(allowed), spread=spread_of(subject.setting, limit.measure, False))


def _sentence(asked: TimedQuestion, finding: Finding) -> str:
    limit, bound = asked.limit, finding.bound
    allowed = f"limit {_number(limit, asked.allowed)}"
    if finding.answer == "missing":
        return f"{limit.words} was not measured in every run, {allowed}"
    if bound is None:
        return f"{limit.words} needs more runs, or a calibrated device (gdws noise), {allowed}"
    low, high = _ends(limit, bound)
    figure = f"{limit.words} {_number(limit, _value(limit, bound.mean))}"
    if limit.is_relative:
        figure = f"{limit.words} {_change(_value(limit, bound.mean))} the baseline's"
    interval = f"interval {_plain(limit, low)} to {_number(limit, high)}, {text.plural(bound.runs, 'run')}"
    said = f"{figure} ({interval}), {allowed}"
    if finding.confirmation is None:
        return said
    again = _number(limit, _value(limit, finding.confirmation.mean))
    more = text.plural(finding.confirmation.runs, "further run")
    return f"{said}, {'confirmed by' if finding.answer == 'above' else 'not confirmed by'} {more} ({again})"


def _ends(limit: TimedLimit, bound: Bound) -> tuple[float, float]:
    """The ends of the interval in the limit's unit, the smaller first."""
    ends = sorted((_value(limit, bound.low), _value(limit, bound.high)))
    return ends[0], ends[1]


def _value(limit: TimedLimit, logarithm: float) -> float:
    """A signed logarithm as a figure in the limit's unit."""
    if limit.is_relative:
        return 100 * math.expm1(logarithm)
    return math.exp(limit.sign * logarithm)


def _number(limit: TimedLimit, value: float) -> str:
    return f"{_plain(limit, value)} {limit.unit}"


def _plain(limit: TimedLimit, value: float) -> str:
    return text.points(value).removeprefix("+") if limit.is_relative else text.significant(value)


def _change(percent: float) -> str:
    return f"{abs(percent):.1f} % {'above' if percent >= 0 else 'below'}"
