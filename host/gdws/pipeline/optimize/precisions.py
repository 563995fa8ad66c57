"""INT8, whole or in part, beside floating point, of plans and the dense network: the fastest is delivered."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from gdws.pipeline.optimize.forms import Form, Outcome, as_planned
from gdws.pipeline.optimize.judge import EvaluationJudge
from gdws.pipeline.optimize.meter import AgentMeter, FormTimes
from gdws.pipeline.quantisation import SLOW_LAYOUTS
from gdws.planning.search.evidence import Loss, Timing
from gdws.planning.search.explorer import Tell
from gdws.planning.search.goals import AccuracyLimits, Goal
from gdws.planning.search.search import Answer, Search
from gdws.planning.search.space import Choice

#: So many plans are tried in INT8.
_PLANS = 2
#: Of the best of them, so many layers are tried in floating point.
_KEPT = (2, 6)
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
    if not search.explorer.is_open:  # no layer has an option, but INT8 may gain
        search.explorer.open()
    return _Contest(search, planned, meter, judge, goal, limits, batch_size, tell).outcome(_plans(search, answer))


def _plans(search: Search, answer: Answer) -> tuple[Sequence[Choice], Sequence[Choice]]:
    """Choices to measure as they are, and choices to measure in INT8."""
    plans = [*answer.choices, *(choice for choice in search.kept() if choice not in answer.choices)][:_PLANS]
    fitting = [search.like(choice, without=SLOW_LAYOUTS) for choice in plans]
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
        self._dense, self._dense_int8 = (Form(judge.offer.space.dense, int8=int8) for int8 in (False, True))
        self._losses: dict[Form, Loss] = dict(planned.losses)
        self._final: dict[Form, Loss] = dict(planned.final)

    def outcome(self, plans: tuple[Sequence[Choice], Sequence[Choice]]) -> Outcome:
        """Measure, judge, and choose."""
        as_they_are, quantised = plans
        in_int8 = [self._dense_int8, *(Form(choice, int8=True) for choice in quantised)]
        mixed = [in_int8[:2][-1]._replace(kept=kept) for kept in _KEPT]
        forms = [*map(Form, as_they_are), *in_int8, *mixed]
        self._tell(
            f"{len(forms)} networks in turns with dense, {len(in_int8) + len(mixed)} of them in INT8, "
            f"{len(mixed)} but for the layers that lose most by it"
        )
        found = self._meter.time_forms(forms, self._judge, energy=self._goal.is_of_energy)
        rival = self._best_dense(found)
        best = self._best(found, rival)
        is_over = best is not None and best != rival
        return dataclasses.replace(
            self._planned,
            status="delivered" if best is not None else "declined",
            reason=self._reason(best),
            delivered=() if best is None else (best,),
            beside=(self._dense_int8,) if self._dense_int8 in self._final and best != self._dense_int8 else (),
            timings={**self._planned.timings, **found.timings},
            losses=self._losses,
            final=self._final,
            rival=rival,
            gain=_gain(found.timings[best], found.timings.get(rival)) if is_over and best is not None else None,
            doubts=found.doubts,
        )

    def _best_dense(self, found: FormTimes) -> Form:
        """The dense network in INT8 if it is faster and keeps the limits, else in floating point."""
        timing = found.timings.get(self._dense_int8)
        is_faster = timing is not None and _gain(timing, None)[1] > 1
        return self._dense_int8 if is_faster and self._keeps(self._dense_int8) else self._dense

    def _best(self, found: FormTimes, rival: Form) -> Form | None:
        """The fastest network that beats the best dense form and keeps goal and limits; else that form in INT8."""
        bound = self._goal.bound(found.dense, self._batch_size)
        for form, timing in sorted(found.timings.items(), key=lambda item: item[1].ratio):
            beats = form != rival and _gain(timing, found.timings.get(rival))[1] > 1
            if beats and self._is_within(timing, bound, found.dense) and self._keeps(form):
                return form
        if rival == self._dense_int8 and self._is_within(found.timings[rival], bound, found.dense):
            return rival
        return None

    def _reason(self, best: Form | None) -> str:
        if best == self._dense_int8:
            return "the dense network in INT8 is the fastest that keeps the limits"
        if best is not None:
            return f"it takes {self._goal}"
        if self._planned.delivered:
            return "in turns with the dense network in INT8 no network that keeps the limits meets the goal"
        return f"{self._planned.reason}; nor does any network in INT8"

    def _is_within(self, timing: Timing, bound: float | None, dense: float) -> bool:
        """Whether it keeps goal and memory limit, and beats the dense network in another setting, if there is one.

        The whole interval is to be within the goal.
        """
        upper = timing.ratio * (1 + _Z * timing.relative_sd) * dense
        if upper >= self._search.rival:
            return False
        if self._search.exceeds(timing.memory) is not None:
            return False
        return bound is None or upper <= bound

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
