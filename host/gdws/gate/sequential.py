"""The sequential test of a gate: when enough was measured, and the findings. Pure.

A *question* is whether a figure is above its limit; figure and limit are logarithms, with signs such that larger is
worse. Each run gives one observation for every question. They are evaluated after fixed numbers of runs, at most
:data:`LOOKS` times. A question is settled at the first look at which the interval of its mean is on one side of the
limit.

The error is controlled by Bonferroni's inequality over looks and questions: at each look either end of the interval has
the one-sided level ``error / (looks * questions)``. Hence, for any stopping time,

- a gate in which every figure is within its limit finds any "above" with a probability of at most ``error``;
- a figure above its limit is found "below" with a probability of at most ``error``.

"Above" is confirmed by further runs, which are evaluated separately: as many as were needed to find it, and twice and
four times as many if these are not clear. Over these looks a figure within its limit is confirmed with a probability of
at most :data:`CONFIRMATION_LEVEL`.

The interval is Student's t over the runs. A spread from a calibration of the device is pooled with that of the runs,
unless theirs is significantly larger (F test at :data:`NOISIER_LEVEL`), in which case it is used alone. So a device
that became noisier makes a gate longer or inconclusive. The error can also increase, since few runs cannot show that
they are noisier; ``tests/host/gate/test_sequential.py`` bounds the increase.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from gdws_contract.findings.student_t import t_quantile

#: Maximum number of looks; the number of runs doubles from one to the next.
LOOKS = 3
#: One-sided probability of an error in each direction, over all looks.
ERROR = 0.01
CONFIRMATION_LEVEL = 0.1
#: Minimum number of runs before the first look, so that a single outlier does not decide.
LEAST_RUNS = 4
NOISIER_LEVEL = 0.1
#: Runs before the first look if the spread is unknown.
UNCALIBRATED_RUNS = 6
#: Runs before the first look if the spread is known but the distance of the figure to the limit is not.
USUAL_RUNS = 4
#: The first look is chosen such that an unchanged figure passes at it with about this probability.
_FIRST_LOOK_POWER = 0.95

Answer = Literal["below", "above", "unconfirmed", "open", "missing"]


@dataclass(frozen=True)
class Spread:
    """The standard deviation of an observation from run to run, on the logarithmic scale, from so many runs."""

    sd: float
    runs: int


@dataclass(frozen=True)
class Question:
    """Whether a figure is above ``limit``, the logarithm of what is allowed.

    ``distance`` is from an unchanged figure to the limit; None if unknown. ``spread`` is the device's; None if not
    calibrated. ``reference`` has earlier observations of a baseline that is not measured in this gate: the figure is
    then the difference of the means.
    """

    limit: float
    distance: float | None = None
    spread: Spread | None = None
    reference: tuple[float, ...] = ()


@dataclass(frozen=True)
class Bound:
    """The mean of the observations, and its interval; both ends have the one-sided level ``tail``."""

    mean: float
    low: float
    high: float
    tail: float
    runs: int


@dataclass(frozen=True)
class Finding:
    """The answer to one question. ``bound`` is from the look that settled it, or from the last look.

    ``confirmation`` is from the further runs, if "above" had to be confirmed.
    """

    answer: Answer
    bound: Bound | None = None
    confirmation: Bound | None = None


def look_after(questions: Mapping[str, Question], max_runs: int, error: float = ERROR) -> tuple[int, ...]:
    """The numbers of runs at which to look: even, so that each network is built first as often as second.

    The first is the smallest that the questions need; see :data:`_FIRST_LOOK_POWER`. None exceeds ``max_runs``, but the
    first is at least 2. Without questions it is 2, which confirms whatever does not vary between runs.
    """
    tail = error / (LOOKS * max(len(questions), 1))
    needed = max((_runs_needed(question, tail) for question in questions.values()), default=2)
    first = max(2, min(_even(needed), max_runs - max_runs % 2))
    return tuple(dict.fromkeys(n for n in (first * 2**index for index in range(LOOKS)) if n <= max_runs)) or (2,)


def bound(values: tuple[float, ...], question: Question, tail: float) -> Bound | None:
    """The interval of the mean of ``values`` minus that of the reference; None if the spread cannot be estimated."""
    variance, freedom = _variance(values, question)
    if variance is None:
        return None
    share = 1 / len(values) + (1 / len(question.reference) if question.reference else 0.0)
    mean = float(np.mean(values)) - (float(np.mean(question.reference)) if question.reference else 0.0)
    margin = t_quantile(1 - tail, freedom) * math.sqrt(variance * share)
    return Bound(mean, mean - margin, mean + margin, tail, len(values))


@dataclass
class Trial:
    """The state of one gate: takes the observations of each run, and says whether another is needed.

    ``wants_run`` is false once every question is settled, or one was found "above" and its confirmation is finished, or
    there are no further looks.
    """

    questions: Mapping[str, Question]
    max_runs: int
    error: float = ERROR
    findings: dict[str, Finding] = field(init=False)
    looks: tuple[int, ...] = field(init=False)
    wants_run: bool = field(init=False, default=True)

    def __post_init__(self) -> None:
        self.looks = look_after(self.questions, self.max_runs, self.error)
        self.findings = dict.fromkeys(self.questions, Finding("open"))
        self._values: dict[str, list[float]] = {name: [] for name in self.questions}
        self._searched: dict[str, tuple[float, ...]] = {}
        self._confirmed: set[str] = set()
        self._runs = 0
        self._confirming: tuple[int, ...] = ()  # the looks of the confirmation; empty before it starts

    @property
    def tail(self) -> float:
        """The one-sided level of either end of an interval at one look."""
        return self.error / (len(self.looks) * max(len(self.questions), 1))

    @property
    def runs_to_next_look(self) -> int:
        """The number of runs until the next look; 0 if no run is wanted."""
        if not self.wants_run:
            return 0
        return next(runs for runs in self._confirming or self.looks if runs > self._runs) - self._runs

    def add(self, observations: Mapping[str, float | None]) -> None:
        """Take the observations of one run; a question without an observation can no longer be answered."""
        self._runs += 1
        for name, values in self._values.items():
            value = observations.get(name)
            if value is not None:
                values.append(value)
            elif self.findings[name].answer in ("open", "above"):
                self.findings[name] = Finding("missing")
        if self._runs == self._target():
            if self._confirming:
                self._confirm()
            else:
                self._look()

    def _target(self) -> int:
        return next(runs for runs in self._confirming or self.looks if runs >= self._runs)

    def _look(self) -> None:
        for name, question in self.questions.items():
            if self.findings[name].answer != "open":
                continue
            found = bound(tuple(self._values[name]), question, self.tail)
            self.findings[name] = Finding(_side(found, question.limit), found)
        answers = {finding.answer for finding in self.findings.values()}
        if "above" in answers:
            self._confirming, self._runs = tuple(self._runs * 2**index for index in range(LOOKS)), 0
            self._searched = {name: tuple(values) for name, values in self._values.items()}
            self._values = {name: [] for name in self.questions}
        elif "open" not in answers or self._runs == self.looks[-1]:
            self.wants_run = False

    def _confirm(self) -> None:
        tail = CONFIRMATION_LEVEL / len(self._confirming)
        for name, question in self.questions.items():
            finding = self.findings[name]
            if finding.answer != "above" or name in self._confirmed:
                continue
            known = replace(question, spread=_spread(self._searched[name], question))
            again = bound(tuple(self._values[name]), known, tail)
            side = _side(again, question.limit)
            if side == "above":
                self._confirmed.add(name)
            elif side == "below" or self._runs == self._confirming[-1]:
                finding = replace(finding, answer="unconfirmed")
            self.findings[name] = replace(finding, confirmation=again)
        suspected = {name for name, finding in self.findings.items() if finding.answer == "above"}
        self.wants_run = suspected > self._confirmed


def _side(found: Bound | None, limit: float) -> Answer:
    if found is None:
        return "open"
    if found.low > limit:
        return "above"
    return "below" if found.high < limit else "open"


def _runs_needed(question: Question, tail: float) -> int:
    """The number of runs for the first look; only a sample size, so a normal quantile suffices for the power."""
    if question.spread is None:
        return UNCALIBRATED_RUNS
    if question.distance is None or question.distance <= 0:
        return USUAL_RUNS
    power = t_quantile(_FIRST_LOOK_POWER, 1e6)
    runs = LEAST_RUNS
    while runs < 1_000:
        margin = t_quantile(1 - tail, question.spread.runs + runs - 2) + power
        if margin * question.spread.sd * math.sqrt(1 / runs) <= question.distance:
            break
        runs += 2
    return runs


def _variance(values: tuple[float, ...], question: Question) -> tuple[float | None, float]:
    """The variance of one observation and its degrees of freedom; see the module."""
    groups = [group for group in (values, question.reference) if len(group) > 1]
    own_freedom = sum(len(group) - 1 for group in groups)
    own = sum(float(np.var(group)) * len(group) for group in groups) / own_freedom if own_freedom else None
    if not values or (own is None and question.spread is None):
        return None, 0.0
    if question.spread is None:
        return own, own_freedom
    known, freedom = question.spread.sd**2, question.spread.runs - 1
    if own is None:
        return known, freedom
    if own > known * _f_quantile(1 - NOISIER_LEVEL, own_freedom, freedom):
        return own, own_freedom
    return (own_freedom * own + freedom * known) / (own_freedom + freedom), own_freedom + freedom


def _spread(values: tuple[float, ...], question: Question) -> Spread | None:
    """The spread of the first runs, which is independent of the mean of the further ones."""
    variance, freedom = _variance(values, question)
    return None if variance is None else Spread(math.sqrt(variance), round(freedom) + 1)


def _f_quantile(probability: float, numerator: float, denominator: float) -> float:
    from scipy.special import fdtri  # at call time: most commands never need it

    return float(fdtri(numerator, denominator, probability))


def _even(count: int) -> int:
    return count + count % 2
