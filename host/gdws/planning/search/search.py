"""From the options of a network to the plans that are delivered, or to the reason why it stays dense."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from gdws.planning.search.choose import Limits, best_choice, greedy_choice
from gdws.planning.search.evidence import Judge, Loss, Measurement, Meter, Timing
from gdws.planning.search.explorer import Explorer, Tell
from gdws.planning.search.goals import AccuracyLimits, Effort, Goal, next_error
from gdws.planning.search.latency_model import Basis, Class, LatencyModel
from gdws.planning.search.memory import MemoryLimit
from gdws.planning.search.space import Choice, Space
from gdws_contract.findings import text
from gdws_contract.memory import Memory

#: Networks of nearly the least error may lose less than that of the least: so many are judged before declining.
_NEAR_LEAST = 2
#: A choice need not be a new network.
_TRIES_A_JUDGEMENT = 3
#: So many of the best networks are measured again, thoroughly; of a front all.
CONFIRMED = 3
#: Where all that was kept on the images of choices fails on the final ones, less error is tried, so many times.
_RETREATS = 2
#: A prediction that is less sure leaves no more room below a bound.
_LARGEST_MARGIN = 0.05

#: ``dense suffices``: the dense network meets the goal as it is.
Status = Literal["delivered", "dense suffices", "declined"]


@dataclass(frozen=True)
class Answer:
    """What a search came to. ``choices`` are delivered, best first; without any the answer is the dense network.

    ``judged`` has what networks lose on the images that choices are made on, ``final`` what those delivered lose on
    the images of the final figures, and ``confirmed`` their last measurement.
    """

    status: Status
    reasons: tuple[str, ...]
    choices: tuple[Choice, ...] = ()
    judged: Mapping[Choice, Loss] = field(default_factory=dict)
    final: Mapping[Choice, Loss] = field(default_factory=dict)
    confirmed: Measurement | None = None

    @property
    def reason(self) -> str:
        """The reasons, each once."""
        return text.each_once(self.reasons)

    @property
    def refused(self) -> tuple[Choice, ...]:
        """The networks that lost too much on the final images."""
        return tuple(choice for choice in self.final if choice not in self.choices)


class Search:
    """One search; :attr:`explorer` holds what the device said.

    ``rival_ms`` is what the dense network takes in another setting of the device, e.g. on another number of threads:
    what is delivered must beat that, too. :attr:`rival` is that, infinity without one. ``memory`` is the most that a
    network that is delivered may take at its peak.
    """

    def __init__(
        self,
        space: Space,
        meter: Meter,
        judge: Judge,
        goal: Goal,
        limits: AccuracyLimits,
        *,
        batch_size: int = 1,
        known: Mapping[Class, Basis] | None = None,
        rival_ms: float | None = None,
        memory: MemoryLimit | None = None,
        effort: Effort | None = None,
        tell: Tell = lambda line: None,
    ) -> None:
        self._space, self._meter, self._judge, self._goal, self._limits = space, meter, judge, goal, limits
        self._batch_size, self._effort, self._tell = batch_size, effort or Effort(), tell
        self.rival = math.inf if rival_ms is None else rival_ms
        self._memory = memory
        self._judged: dict[Choice, Loss] = {}
        self.explorer = Explorer(space, meter, known=known, energy=goal.is_of_energy, seed=self._effort.seed, tell=tell)

    def run(self) -> Answer:
        """Look for the best plan, confirm it, and deliver it or decline."""
        if not any(len(layer.options) > 1 for layer in self._space.layers):
            return Answer("declined", ("no layer has an option with fewer MACs than the dense one",))
        self.explorer.open()
        if self._memory is not None:
            self._memory.require_known(self.explorer.dense_memory)
        dense = min(self.explorer.dense, self.rival)
        bound = self._goal.bound(dense, self._batch_size)
        if bound is not None and dense <= bound and self.exceeds(self.explorer.dense_memory) is None:
            return Answer("dense suffices", (f"the dense network takes {self._figure(dense)} as it is",))
        if self._goal.kind == "pareto":
            found = self._front(int(self._goal.value or 0))
        else:
            found = self._fastest() if bound is None else self._within(bound)
        if isinstance(found, Answer):
            return found
        answer = self._confirm(found, bound)
        return self._retreated(answer) if self._goal.kind == "fastest" else answer

    def kept(self) -> list[Choice]:
        """The networks that were judged and keep the limits, fastest first."""
        return sorted((choice for choice in self._judged if self._excess(choice) <= 1), key=self._cost)

    def exceeds(self, memory: Memory | None) -> str | None:
        """Why a network that takes ``memory`` is not delivered; None if it may be."""
        return None if self._memory is None else self._memory.refusal(memory)

    def like(self, choice: Choice, *, without: Sequence[str]) -> Choice | None:
        """The cheapest network within the error of ``choice`` whose options are none of the kinds ``without``.

        That is ``choice`` itself if it has none of them; None if only the dense network is left.
        """
        if not any(option.kind in without for option in self._space.taken(choice)):
            return choice
        costs = self.explorer.model.costs
        far = 10 * self.explorer.dense
        layers = tuple(
            tuple(far if option.kind in without else price for option, price in zip(layer.options, prices, strict=True))
            for layer, prices in zip(self._space.layers, costs.layers, strict=True)
        )
        found = best_choice(replace(costs, layers=layers), "cost", Limits(error=self._space.error(choice)))
        return None if found == self._space.dense else found

    # -- the three ways to look -----------------------------------------------------------------------------

    def _within(self, bound: float) -> list[Choice] | Answer:
        """Networks that take at most ``bound`` by measurement and keep the limits, least error first."""

        def least_error(
            model: LatencyModel, tightness: float, near: Choice | None, radius: int | None
        ) -> Choice | None:
            cost = bound * tightness / (1 + self._relative_sd(model, bound))
            found = best_choice(model.costs, "error", Limits(cost=cost, near=near, radius=radius))
            return found or best_choice(model.costs, "cost", Limits(near=near, radius=radius))

        self.explorer.settle(least_error, self._effort.rounds)
        meeting = [choice for choice in self.explorer.timings if self._meets(choice, bound)]
        fast = sorted((choice for choice in meeting if self._fits(choice)), key=self._space.error)
        if not fast:
            slow = f"no network was measured to take {self._figure(bound)}: {self._fastest_known(bound)}"
            return self._declined(self._too_large(meeting) or slow)
        for choice in fast[:_NEAR_LEAST]:
            if self._excess(choice) <= 1:
                return [choice]
        return self._declined(
            f"networks that take at most {self._figure(bound)} lose more accuracy than is allowed: "
            f"{self._judged[fast[0]].in_words()}; {self._fastest_allowed()}"
        )

    def _fastest(self) -> list[Choice] | Answer:
        """Networks that keep the limits, fastest first."""
        self.explorer.time_uniform()
        points: list[tuple[float, float]] = []
        least, most = self._errors()
        for _ in range(_TRIES_A_JUDGEMENT * self._effort.judgements):
            error = self._effort.next_error(points, least, most)
            if error is None or len(self._judged) >= self._effort.judgements:
                break

            choice = self._fastest_within(error)
            # Where nothing is faster within this error, or the same network as before, a larger error may tell more.
            points.append((error, 0.0 if choice == self._space.dense else self._excess(choice)))
        kept = self.kept()
        if not kept:
            lost = text.each_once(loss.in_words() for loss in self._judged.values()) or "none is faster"
            reason = f"no network keeps the accuracy limits and saves time ({lost})"
            return self._declined(self._too_large(self.explorer.timings) or reason)
        return kept

    def _fastest_within(self, error: float) -> Choice:
        """The fastest network within an error, measured; dense if none is faster than that."""

        def fastest(model: LatencyModel, tightness: float, near: Choice | None, radius: int | None) -> Choice | None:
            return best_choice(model.costs, "cost", Limits(error=error * tightness, near=near, radius=radius))

        self.explorer.settle(fastest, self._effort.rounds)
        return self._fastest_measured(error)

    def _front(self, count: int) -> list[Choice] | Answer:
        """Networks from dense to fastest, none of which another beats in both measured cost and error."""
        cheapest = best_choice(self.explorer.model.costs, "cost")
        assert cheapest is not None  # nothing limits it
        dense, least = self.explorer.dense, self.explorer.model.predict(cheapest)[0]
        wanted: list[Choice] = []
        for number in range(1, count + 1):
            bound = dense * (max(least, 1e-9) / dense) ** (number / count)
            choice = best_choice(self.explorer.model.costs, "error", Limits(cost=bound * (1 + 1e-9)))
            wanted.append(cheapest if choice is None else choice)
        self.explorer.time(wanted)
        timed = [choice for choice in dict.fromkeys(wanted) if choice in self.explorer.timings]
        measured = [choice for choice in timed if self._cost(choice) < dense and self._fits(choice)]
        kept: list[Choice] = []
        for choice in sorted(measured, key=self._space.error):
            if not kept or self._cost(choice) < self._cost(kept[-1]):
                kept.append(choice)
                self._excess(choice)
        slow = "no network on the front was measured to be faster than dense"
        return kept or self._declined(self._too_large(timed) or slow)

    # -- the last word --------------------------------------------------------------------------------------

    def _confirm(self, found: list[Choice], bound: float | None) -> Answer:
        """Measure the best of ``found`` thoroughly, judge them on the final images, deliver the first that passes."""
        final: dict[Choice, Loss] = {}
        reasons = []
        is_front = self._goal.kind == "pareto"
        tried = found if is_front else found[:CONFIRMED]
        confirmed = self._meter.time(tried, thorough=True)
        if self._goal.is_of_energy:
            confirmed = self.explorer.priced(confirmed)
        by_choice = {timing.choice: timing for timing in confirmed.timings}
        kept = []
        for choice in tried:
            timing = by_choice.get(choice)
            too_large = None if timing is None else self.exceeds(timing.memory)
            if too_large is not None:
                reasons.append(f"measured thoroughly, {too_large}")
                continue
            if timing is None or not self._is_gain(timing, confirmed, bound):
                reasons.append(self._failed(timing, confirmed))
                continue
            loss = final[choice] = self._judge.loss(choice, final=True)
            if is_front or self._limits.excess(loss) <= 1:
                kept.append(choice)
                if not is_front:
                    break
            else:
                reasons.append(f"on the final images it loses {loss.in_words()}")
        status: Status = "delivered" if kept else "declined"
        reason = f"{len(kept)} of {len(found)} networks" if is_front else f"the goal is met: {self._goal}"
        told = (reason,) if kept else tuple(reasons)
        return Answer(status, told, tuple(kept), self._judged, final, confirmed)

    def _retreated(self, answer: Answer) -> Answer:
        """``answer``, or where the final images refused all its networks that with a network of less error.

        Choices are made on other images than the final ones, which may lose more by chance. Trying again on those is
        no choice among many: at most :data:`_RETREATS` networks, each of an error that the losses before allow.
        """
        least, most = self._errors()
        for _ in range(_RETREATS):
            if answer.status == "delivered" or not answer.final:
                break
            refused = [(self._space.error(choice), self._limits.excess(loss)) for choice, loss in answer.final.items()]
            error = next_error(refused, least, most)
            choice = self._space.dense if error is None else self._fastest_within(error)
            if choice == self._space.dense:
                break
            self._tell(f"the final images refuse that: trying less error, {self._figure(self._cost(choice))}")
            if self._excess(choice) > 1:
                continue
            last, answer = answer, self._confirm([choice], None)
            reasons = answer.reasons if answer.status == "delivered" else (*last.reasons, *answer.reasons)
            answer = replace(answer, reasons=reasons, final={**last.final, **answer.final})
        return answer

    def _is_gain(self, timing: Timing, confirmed: Measurement, bound: float | None) -> bool:
        """Whether the whole interval says that it beats dense and keeps the bound."""
        upper = timing.ratio * (1 + 1.96 * timing.relative_sd) * self._dense_of(confirmed)
        if timing.speedup().low <= 1 or upper >= self.rival:
            return False
        if bound is None:
            return True
        if not self._goal.is_of_energy:
            return upper <= bound
        energy = timing.energy_interval()
        return energy is not None and energy.high <= bound

    def _dense_of(self, confirmed: Measurement) -> float:
        """What the dense network took, in the unit of the search."""
        return confirmed.dense_mj or math.inf if self._goal.is_of_energy else confirmed.dense_ms

    def _failed(self, timing: Timing | None, confirmed: Measurement) -> str:
        if timing is None:
            return "it could not be measured thoroughly: " + (
                text.each_once(confirmed.doubts.values()) or "its engine failed"
            )
        interval, longer = timing.speedup(), timing.times_longer()
        would_tell = "" if longer is None else f"; about {longer} times as long a measurement would tell"
        gain = f"{1 / timing.ratio:.2f} times as fast as dense"
        if self._goal.is_of_energy:
            gain = f"dense takes {1 / timing.ratio:.2f} times as much"
        return (
            f"measured thoroughly it takes {self._figure(timing.ratio * self._dense_of(confirmed))}, {gain} "
            f"(95 % interval {interval.low:.2f} to {interval.high:.2f}){would_tell}"
        )

    # -- figures --------------------------------------------------------------------------------------------

    def _excess(self, choice: Choice) -> float:
        if choice not in self._judged:
            self._tell(f"accuracy of a network predicted to take {self._figure(self._cost(choice))}")
            self._judged[choice] = self._judge.loss(choice)
            self._tell(f"it loses {self._judged[choice].in_words()}")
        return self._limits.excess(self._judged[choice])

    def _cost(self, choice: Choice) -> float:
        measured = self.explorer.measured(choice)
        return self.explorer.model.predict(choice)[0] if measured is None else measured

    def _meets(self, choice: Choice, bound: float) -> bool:
        """Whether the upper end of its interval is within the bound."""
        timing = self.explorer.timings[choice]
        return timing.ratio * (1 + 1.96 * timing.relative_sd) * self.explorer.dense <= bound

    def _fastest_measured(self, error: float) -> Choice:
        """Of the networks within an error the fastest that was measured to be faster than dense; dense if none was."""
        faster = [
            choice
            for choice, timing in self.explorer.timings.items()
            if timing.speedup().low > 1 and self._cost(choice) < self.rival and self._fits(choice)
        ]
        within = [choice for choice in faster if self._space.error(choice) <= error * (1 + 1e-9)]
        return min([self._space.dense, *within], key=self._cost)

    def _fits(self, choice: Choice) -> bool:
        """Whether its peak memory is within the limit."""
        return self.exceeds(self.explorer.timings[choice].memory) is None

    def _too_large(self, choices: Iterable[Choice]) -> str | None:
        """Why none of the measured ``choices`` keeps the memory limit; None if one does."""
        memories = [self.explorer.timings[choice].memory for choice in choices]
        return None if self._memory is None else self._memory.refusal_of_all(memories)

    def _relative_sd(self, model: LatencyModel, bound: float) -> float:
        """How far the measurement of a network that just keeps the bound may be above its prediction."""
        choice = greedy_choice(model.costs, bound)
        if choice is None:
            return _LARGEST_MARGIN
        predicted, sd = model.predict(choice)
        return min(sd / predicted, _LARGEST_MARGIN)

    def _errors(self) -> tuple[float, float]:
        """The error of the smallest change that saves time, and that of the cheapest network."""
        costs = self.explorer.model.costs
        cheapest = best_choice(costs, "cost")
        assert cheapest is not None  # nothing limits it
        smallest = [
            option.error
            for layer, prices in zip(self._space.layers, costs.layers, strict=True)
            for option, price in zip(layer.options, prices, strict=True)
            if price < prices[0] and option.error > 0
        ]
        most = max(self._space.error(cheapest), 1e-300)
        return min(min(smallest, default=most), most), most

    def _declined(self, reason: str) -> Answer:
        too_large = self.exceeds(self.explorer.dense_memory)
        dense = "" if too_large is None else f". Nor does the dense network keep the memory limit: {too_large}"
        return Answer("declined", (f"{reason}{dense}",), judged=self._judged)

    def _fastest_known(self, bound: float) -> str:
        cheapest = min(self.explorer.timings, key=self._cost)
        cost = self._cost(cheapest)
        words = f"the {'best' if self._goal.is_of_energy else 'fastest'} takes {self._figure(cost)}"
        if cost > bound:
            return words
        upper = self._figure(cost * (1 + 1.96 * self.explorer.timings[cheapest].relative_sd))
        return f"{words}, but up to {upper} by its 95 % interval; measure longer (--min-duration) on a quiet machine"

    def _fastest_allowed(self) -> str:
        """What would keep the limits, if losses are in proportion to the errors: a prediction, and said as one."""
        choice, loss = min(self._judged.items(), key=lambda item: self._space.error(item[0]))
        allowed = self._space.error(choice) / self._limits.excess(loss)
        best = best_choice(self.explorer.model.costs, "cost", Limits(error=allowed))
        if best is None or best == self._space.dense:
            return "the limits leave no network that is faster"
        return (
            f"about {self._figure(self.explorer.model.predict(best)[0])} should keep the limits, by prediction: "
            "--fastest finds out"
        )

    def _figure(self, value: float) -> str:
        return f"{value:.4g} {self.explorer.unit}"
