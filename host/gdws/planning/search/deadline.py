"""The least energy within a deadline, over the states that a device can be put into and the plans of a network.

One search over all states: for each error bound the state that promises the least energy within the deadline is
measured until its best network is, and as long as another state promises less, that one is, too. A network is judged
once, for its accuracy is the same in every state.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gdws.errors import SettingUnavailable
from gdws.planning.search.choose import Limits, best_choice
from gdws.planning.search.evidence import Judge, Loss, Measurement, Timing, energy_interval
from gdws.planning.search.explorer import Explorer, Tell
from gdws.planning.search.goals import AccuracyLimits, Effort
from gdws.planning.search.latency_model import LatencyModel
from gdws.planning.search.memory import MemoryLimit
from gdws.planning.search.search import CONFIRMED, Status
from gdws.planning.search.space import Choice, Space
from gdws_contract.findings import text
from gdws_contract.memory import Memory

#: A choice need not be a new network.
_TRIES_A_JUDGEMENT = 3


class Pick(NamedTuple):
    """A network in a state of the device."""

    state: str
    choice: Choice


@dataclass(frozen=True)
class DeadlineAnswer:
    """What a search within a deadline came to.

    ``pick`` is the network to run and the state to run it in: the dense one if that is best, and None if nothing meets
    the deadline. ``judged`` and ``final`` are as in :class:`gdws.planning.search.search.Answer`; ``confirmed`` has the
    last measurement in each state that was measured again, ``doubts`` the states that the device does not enter.
    """

    status: Status
    reason: str
    pick: Pick | None = None
    judged: Mapping[Choice, Loss] = field(default_factory=dict)
    final: Mapping[Choice, Loss] = field(default_factory=dict)
    confirmed: Mapping[str, Measurement] = field(default_factory=dict)
    doubts: tuple[str, ...] = ()


class DeadlineSearch:
    """``explorers`` has one for each state of the device, all in energies; those that cannot be entered are dropped.

    A network meets ``deadline_ms`` if the 99th percentile of its latency does. One above the ``memory`` limit is not
    delivered.
    """

    def __init__(
        self,
        space: Space,
        explorers: Mapping[str, Explorer],
        judge: Judge,
        deadline_ms: float,
        limits: AccuracyLimits,
        *,
        memory: MemoryLimit | None = None,
        effort: Effort | None = None,
        tell: Tell = lambda line: None,
    ) -> None:
        self._space, self._judge, self._deadline_ms, self._limits = space, judge, deadline_ms, limits
        self.explorers = dict(explorers)
        self._memory = memory
        self._effort, self._tell = effort or Effort(), tell
        self._judged: dict[Choice, Loss] = {}
        self._doubts: list[str] = []

    def run(self) -> DeadlineAnswer:
        """Search every state, confirm the best networks, and deliver the best one, or decline.

        Raises :class:`~gdws.errors.SettingUnavailable` if the device enters none of the states.
        """
        self._open()
        if any(len(layer.options) > 1 for layer in self._space.layers):
            self._look()
        kept = [pick for pick in self._meeting() if pick.choice in self._judged and self._excess(pick.choice) <= 1]
        return self._confirm(kept)

    # -- searching ------------------------------------------------------------------------------------------

    def _open(self) -> None:
        refused: SettingUnavailable | None = None
        for state, explorer in list(self.explorers.items()):
            self._tell(f"{state}: learning times and energies")
            try:
                explorer.open()
            except SettingUnavailable as error:
                refused = error
                self._doubts.append(f"{state} was left out: {error.message}")
                self._tell(self._doubts[-1])
                del self.explorers[state]
            if state in self.explorers and self._memory is not None:
                self._memory.require_known(explorer.dense_memory)
        if not self.explorers:
            assert refused is not None  # there was at least one state
            raise refused

    def _look(self) -> None:
        """Judge networks of ever better chosen errors, until the limits are just kept."""
        points: list[tuple[float, float]] = []
        least, most = self._errors()
        for _ in range(_TRIES_A_JUDGEMENT * self._effort.judgements):
            error = self._effort.next_error(points, least, most)
            if error is None or len(self._judged) >= self._effort.judgements:
                return
            found = self._least_energy(error)
            # Where nothing meets the deadline within this error, or dense is best, a larger error may tell more.
            is_converted = found is not None and found.choice != self._space.dense
            points.append((error, self._excess(found.choice) if found is not None and is_converted else 0.0))

    def _least_energy(self, error: float) -> Pick | None:
        """The network of least measured energy within an error and the deadline; None if none is known."""
        settled: set[str] = set()
        while True:
            promised = {
                state: self._promise(state, choice)
                for state in self.explorers
                if state not in settled and (choice := self._best(state, error)) is not None
            }
            within = [pick for pick in self._meeting() if self._space.error(pick.choice) <= error * (1 + 1e-9)]
            measured = self._cost(within[0]) if within else math.inf
            state = min(promised, key=promised.__getitem__, default=None)
            if state is None or promised[state] >= measured:
                return within[0] if within else None
            settled.add(state)
            self._settle(state, error)

    def _promise(self, state: str, choice: Choice) -> float:
        explorer = self.explorers[state]
        measured = explorer.measured(choice)
        return explorer.model.predict(choice)[0] if measured is None else measured

    def _settle(self, state: str, error: float) -> None:
        explorer = self.explorers[state]

        def solve(model: LatencyModel, tightness: float, near: Choice | None, radius: int | None) -> Choice | None:
            return self._best(state, error * tightness, near, radius)

        self._tell(f"{state}: the least energy within an error of {error:.2g}")
        explorer.settle(solve, self._effort.rounds)

    def _best(self, state: str, error: float, near: Choice | None = None, radius: int | None = None) -> Choice | None:
        """The choice of least energy by the model of a state, without those measured to miss a limit."""
        explorer = self.explorers[state]
        missed = [choice for choice in explorer.timings if not self._may_be_run(Pick(state, choice))]
        times = (explorer.latency_model.costs, self._deadline_ms / explorer.tail_factor)
        limits = Limits(error=error, near=near, radius=radius, other_than=missed, also=times)
        return best_choice(explorer.model.costs, "cost", limits)

    def _errors(self) -> tuple[float, float]:
        """The error of the smallest change that saves energy in any state, and the largest that is worth a try."""
        smallest, largest = [], [1e-300]
        for explorer in self.explorers.values():
            costs = explorer.model.costs
            smallest += [
                option.error
                for layer, prices in zip(self._space.layers, costs.layers, strict=True)
                for option, price in zip(layer.options, prices, strict=True)
                if price < prices[0] and option.error > 0
            ]
            for each in (costs, explorer.latency_model.costs):
                cheapest = best_choice(each, "cost")
                assert cheapest is not None  # nothing limits it
                largest.append(self._space.error(cheapest))
        most = max(largest)
        return min(min(smallest, default=most), most), most

    # -- confirming -----------------------------------------------------------------------------------------

    def _confirm(self, kept: Sequence[Pick]) -> DeadlineAnswer:
        """Measure the best thoroughly, beside dense in its best state; deliver the first that passes."""
        dense = next((pick for pick in self._meeting() if pick.choice == self._space.dense), None)
        worst = math.inf if dense is None else self._cost(dense)
        tried = [pick for pick in kept[:CONFIRMED] if self._cost(pick) < worst]
        states = dict.fromkeys(pick.state for pick in [*tried, *([] if dense is None else [dense])])
        confirmed = {state: self._measured_again(state, tried) for state in states}
        dense = self._best_dense(confirmed)
        final: dict[Choice, Loss] = {}
        reasons = []
        for pick in tried:
            reason = self._failing(pick, confirmed, dense, final)
            if reason is None:
                return self._answer("delivered", self._gain_words(pick, confirmed, dense), pick, final, confirmed)
            reasons.append(reason)
        told = text.each_once(reasons)
        if dense is not None:
            words = f"the dense network takes the least energy, in {dense.state}"
            return self._answer("dense suffices", f"{words}{f': {told}' if told else ''}", dense, final, confirmed)
        return self._answer("declined", told or self._nothing_in_time(), None, final, confirmed)

    def _measured_again(self, state: str, tried: Sequence[Pick]) -> Measurement:
        self._tell(f"{state}: measuring thoroughly")
        return self.explorers[state].confirm([pick.choice for pick in tried if pick.state == state])

    def _best_dense(self, confirmed: Mapping[str, Measurement]) -> Pick | None:
        """The state in which the dense network meets the deadline with the least energy."""
        in_time = {
            state: found.dense_mj
            for state, found in confirmed.items()
            if found.dense_mj is not None
            and self._is_in_time(found.dense_tail_ms)
            and self._refusal(found.dense_memory) is None
        }
        return Pick(min(in_time, key=in_time.__getitem__), self._space.dense) if in_time else None

    def _failing(
        self, pick: Pick, confirmed: Mapping[str, Measurement], dense: Pick | None, final: dict[Choice, Loss]
    ) -> str | None:
        """Why a network is not delivered; None if it is."""
        timing = timing_of(confirmed[pick.state], pick.choice)
        if timing is None or timing.energy_mj is None:
            return "it could not be measured thoroughly: " + text.each_once(confirmed[pick.state].doubts.values())
        if not self._is_in_time(timing.tail_ms):
            return f"measured thoroughly it takes {_tail_words(timing.tail_ms)} in {pick.state}"
        if (too_large := self._refusal(timing.memory)) is not None:
            return f"measured thoroughly, {too_large}"
        if dense is not None and not self._is_less(timing, pick.state, confirmed, dense):
            return f"its {timing.energy_mj:.4g} mJ in {pick.state} are not less than dense by more than the noise"
        if pick.choice not in final:
            final[pick.choice] = self._judge.loss(pick.choice, final=True)
        if self._limits.excess(final[pick.choice]) > 1:
            return f"on the final images it loses {final[pick.choice].in_words()}"
        return None

    def _is_less(self, timing: Timing, state: str, confirmed: Mapping[str, Measurement], dense: Pick) -> bool:
        """Whether the energy is less than that of the dense network in its best state, beyond all noise.

        In one state the two took turns, and what disturbed both cancels; between two states it does not.
        """
        if state == dense.state:
            return timing.speedup().low > 1
        rival, mine = confirmed[dense.state], timing.energy_interval()
        return mine is not None and mine.high < energy_interval(rival.dense_mj or 0.0, rival.dense_sd).low

    def _gain_words(self, pick: Pick, confirmed: Mapping[str, Measurement], dense: Pick | None) -> str:
        timing = timing_of(confirmed[pick.state], pick.choice)
        assert timing is not None  # it was confirmed
        own = f"{timing.energy_mj:.4g} mJ and {_tail_words(timing.tail_ms)} in {pick.state}"
        if dense is None:
            return f"{own}; the dense network meets the deadline in no state"
        return f"{own}; dense takes {confirmed[dense.state].dense_mj:.4g} mJ at best, in {dense.state}"

    def _nothing_in_time(self) -> str:
        """The best available answer where no network that keeps the limits meets the deadline."""
        tails = {
            Pick(state, choice): tail
            for state, explorer in self.explorers.items()
            for choice in [self._space.dense, *explorer.timings]
            if (tail := explorer.tail_ms(choice)) is not None
        }
        fastest = min(tails, key=tails.__getitem__)
        if not self._is_in_time(tails[fastest]):
            return (
                f"no network was measured to take {self._deadline_ms:g} ms: the fastest takes "
                f"{_tail_words(tails[fastest])}, in {fastest.state}"
            )
        in_time = [self._memory_of(pick) for pick, tail in tails.items() if self._is_in_time(tail)]
        which = f"no network that meets {self._deadline_ms:g} ms"
        too_large = None if self._memory is None else self._memory.refusal_of_all(in_time, which)
        if too_large is not None:
            return too_large
        allowed = min((pick for pick in tails if self._is_kept(pick.choice)), key=tails.__getitem__)
        lost = text.each_once(loss.in_words() for loss in self._judged.values())
        return (
            f"networks that meet {self._deadline_ms:g} ms lose more accuracy than is allowed: {lost}; within the "
            f"limits the fastest takes {_tail_words(tails[allowed])}, in {allowed.state}"
        )

    def _answer(
        self,
        status: Status,
        reason: str,
        pick: Pick | None,
        final: Mapping[Choice, Loss],
        confirmed: Mapping[str, Measurement],
    ) -> DeadlineAnswer:
        return DeadlineAnswer(status, reason, pick, self._judged, final, confirmed, tuple(self._doubts))

    # -- figures --------------------------------------------------------------------------------------------

    def _meeting(self) -> list[Pick]:
        """The networks that were measured to meet the deadline, the dense one among them, least energy first."""
        picks = [
            Pick(state, choice)
            for state, explorer in self.explorers.items()
            for choice in [self._space.dense, *explorer.timings]
            if self._may_be_run(Pick(state, choice))
        ]
        return sorted(picks, key=self._cost)

    def _may_be_run(self, pick: Pick) -> bool:
        """Whether a network was measured to meet the deadline and to keep the memory limit."""
        is_in_time = self._is_in_time(self.explorers[pick.state].tail_ms(pick.choice))
        return is_in_time and self._refusal(self._memory_of(pick)) is None

    def _memory_of(self, pick: Pick) -> Memory | None:
        explorer = self.explorers[pick.state]
        return explorer.dense_memory if pick.choice == self._space.dense else explorer.timings[pick.choice].memory

    def _refusal(self, memory: Memory | None) -> str | None:
        return None if self._memory is None else self._memory.refusal(memory)

    def _cost(self, pick: Pick) -> float:
        measured = self.explorers[pick.state].measured(pick.choice)
        assert measured is not None  # only what was measured is picked
        return measured

    def _is_in_time(self, tail_ms: float | None) -> bool:
        return tail_ms is not None and tail_ms <= self._deadline_ms

    def _is_kept(self, choice: Choice) -> bool:
        return choice == self._space.dense or (
            choice in self._judged and self._limits.excess(self._judged[choice]) <= 1
        )

    def _excess(self, choice: Choice) -> float:
        if choice not in self._judged:
            self._tell("accuracy of a network of less energy")
            self._judged[choice] = self._judge.loss(choice)
            self._tell(f"it loses {self._judged[choice].in_words()}")
        return self._limits.excess(self._judged[choice])


def timing_of(found: Measurement, choice: Choice) -> Timing | None:
    """The timing of ``choice`` in a measurement; None if it is not there."""
    return next((timing for timing in found.timings if timing.choice == choice), None)


def _tail_words(tail_ms: float | None) -> str:
    return "an unknown time" if tail_ms is None else f"{tail_ms:.4g} ms at the 99th percentile"
