"""Plans and the dense network in INT8 beside floating point: the fastest that keeps the limits is delivered."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from gdws.pipeline.optimize.forms import Form, Outcome, as_planned
from gdws.pipeline.optimize.judge import EvaluationJudge
from gdws.pipeline.optimize.meter import AgentMeter
from gdws.planning.search.evidence import Loss, Timing
from gdws.planning.search.explorer import Tell
from gdws.planning.search.goals import AccuracyLimits, Goal
from gdws.planning.search.search import Answer, Search

#: So many plans are tried in INT8.
_PLANS = 2
#: Runtimes on a CPU have no fast integer kernel for several filters a channel: 0.17 times dense was measured.
_SLOW_IN_INT8 = ("grouped",)
_Z = 1.96


def with_precisions(
    search: Search,
    answer: Answer,
    meter: AgentMeter,
    judge: EvaluationJudge,
    goal: Goal,
    limits: AccuracyLimits,
    batch_size: int,
    tell: Tell,
) -> Outcome:
    """The outcome of ``answer`` once the best plans, and the dense network, were measured in INT8 beside each other.

    The fastest that keeps the limits is delivered if its whole interval is above the fastest dense form that does,
    which is delivered otherwise if it is in INT8.
    """
    planned = as_planned(answer)
    if answer.status == "dense suffices":
        return planned
    return _Contest(search, planned, meter, judge, goal, limits, batch_size, tell).outcome(_plans(search, answer))


def _plans(search: Search, answer: Answer) -> tuple[Sequence[tuple[int, ...]], Sequence[tuple[int, ...]]]:
    """Choices to measure as they are, and choices to measure in INT8."""
    plans = [*answer.choices, *(choice for choice in search.kept() if choice not in answer.choices)][:_PLANS]
    fitting = [search.like(choice, without=_SLOW_IN_INT8) for choice in plans]
    return plans, list(dict.fromkeys(choice for choice in fitting if choice is not None))


class _Contest:
    """Forms that took turns on the device, and what they lose."""

    def __init__(
        self,
        search: Search,
        planned: Outcome,
        meter: AgentMeter,
        judge: EvaluationJudge,
        goal: Goal,
        limits: AccuracyLimits,
        batch_size: int,
        tell: Tell,
    ) -> None:
        self._search, self._planned, self._meter, self._judge = search, planned, meter, judge
        self._goal, self._limits, self._batch_size, self._tell = goal, limits, batch_size, tell
        self._dense = Form(judge.offer.space.dense)
        self._losses: dict[Form, Loss] = dict(planned.losses)
        self._final: dict[Form, Loss] = dict(planned.final)

    def outcome(self, plans: tuple[Sequence[tuple[int, ...]], Sequence[tuple[int, ...]]]) -> Outcome:
        """Measure, judge, and choose."""
        as_they_are, quantised = plans
        dense_int8 = Form(self._dense.choice, int8=True)
        forms = [*map(Form, as_they_are), dense_int8, *(Form(choice, int8=True) for choice in quantised)]
        self._tell(f"{len(forms)} networks in turns with dense, {1 + len(quantised)} of them in INT8")
        found = self._meter.time_forms(forms, self._judge, energy=self._goal.is_of_energy)
        bound = self._goal.bound(found.dense, self._batch_size)
        timings = found.timings
        rival = dense_int8 if dense_int8 in timings and self._beats(timings[dense_int8], None) else self._dense
        if rival is dense_int8 and not self._keeps(rival):
            rival = self._dense
        rival_timing = timings.get(rival)
        for form in sorted(timings, key=lambda form: timings[form].ratio):
            timing = timings[form]
            if (
                form == dense_int8
                or not self._beats(timing, rival_timing)
                or not self._is_within(timing, bound, found.dense)
            ):
                continue
            if self._keeps(form):
                return self._ended(form, found.timings, rival, found.doubts, dense_int8)
        if rival == dense_int8 and self._is_within(timings[rival], bound, found.dense):
            return self._ended(rival, found.timings, rival, found.doubts, dense_int8)
        return dataclasses.replace(
            self._planned,
            status="declined",
            reason=self._declined(bound, bool(self._planned.delivered)),
            delivered=(),
            beside=(dense_int8,) if dense_int8 in self._final else (),
            timings={**self._planned.timings, **timings},
            losses=self._losses,
            final=self._final,
            rival=rival,
            doubts=found.doubts,
        )

    def _declined(self, bound: float | None, had_plan: bool) -> str:
        if not had_plan:
            return f"{self._planned.reason}; nor does any network in INT8"
        what = "is faster than the best dense form" if bound is None else f"takes {self._goal}"
        return f"in turns with the dense network in INT8 no network that keeps the limits {what}"

    def _ended(
        self, best: Form, timings: dict[Form, Timing], rival: Form, doubts: tuple[str, ...], dense_int8: Form
    ) -> Outcome:
        gain = None if best == rival else _gain(timings[best], timings.get(rival))
        reason = (
            "the dense network in INT8 is the fastest that keeps the limits"
            if best == dense_int8
            else f"it takes {self._goal}"
        )
        return Outcome(
            "delivered",
            reason,
            (best,),
            (dense_int8,) if dense_int8 in self._final and best != dense_int8 else (),
            {**self._planned.timings, **timings},
            self._losses,
            self._final,
            rival,
            gain,
            doubts,
        )

    def _beats(self, timing: Timing, rival: Timing | None) -> bool:
        """Whether the whole interval is faster than a rival, by default the dense network in floating point."""
        return _gain(timing, rival)[1] > 1

    def _is_within(self, timing: Timing, bound: float | None, dense: float) -> bool:
        return bound is None or timing.ratio * dense <= bound

    def _keeps(self, form: Form) -> bool:
        """Whether it keeps the limits, on the images that choices are made on and on those of the final figures."""
        for losses, final in ((self._losses, False), (self._final, True)):
            if form not in losses:
                if not final:
                    self._tell(f"accuracy of {form.name(self._judge.offer.space)}")
                losses[form] = self._judge.loss_of(form, final=final)
            if self._limits.excess(losses[form]) > 1:
                return False
        return True


def _gain(timing: Timing, rival: Timing | None) -> tuple[float, float, float]:
    """How many times as fast as the rival, which is the dense network without one, with its 95 % interval."""
    ratio = 1.0 if rival is None else rival.ratio
    variance = timing.relative_sd**2 + (0.0 if rival is None else rival.relative_sd**2)
    value, margin = ratio / timing.ratio, _Z * variance**0.5
    return value, value * max(0.0, 1 - margin), value * (1 + margin)
