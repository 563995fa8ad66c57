"""Explores a device: every measurement refines the model of latencies."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from gdws.errors import GdwsError
from gdws.planning.search.carriers import carriers
from gdws.planning.search.energy import in_energies, per_period
from gdws.planning.search.evidence import LayerShare, Measurement, Meter, Profile, Timing
from gdws.planning.search.latency_model import Basis, Class, LatencyModel, bases_of, classes_of, fit
from gdws.planning.search.space import Choice, Space, pareto, uniform
from gdws.planning.search.steadiness import SAME_STATE, disturbed, slower
from gdws_contract.findings.text import plural
from gdws_contract.memory import Memory

#: Networks that take turns with the dense one in one job: so many engines live at once, and so much an interrupt costs.
GROUP = 4
#: Without profiles the options must be told apart by whole networks alone: at least so many times the options.
_UNPROFILED_CARRIERS = 3
_MOST_CARRIERS = 48
#: A prediction that is off by more makes the next choice stay closer to what was measured.
_TRUSTED = 0.05
#: Alternatives to the best choice, which are measured with it: the bound is tightened so much.
_TIGHTNESS = (1.0, 0.97, 0.93)
#: What was measured while the machine was slower than at other times is repeated so often, in hope of the faster state;
#: on a machine that is never the same for long, no more than doubles the measurements, and the profiles.
_REPEATS = 2

#: Reports progress.
Tell = Callable[[str], None]
#: The best choice for a model with the bound tightened by a factor, within a number of layers of another choice.
Solve = Callable[[LatencyModel, float, Choice | None, int | None], Choice | None]


@dataclass(frozen=True)
class Check:
    """A network that was predicted before it was measured, in the unit of the model."""

    choice: Choice
    predicted: float
    predicted_sd: float
    measured: float


@dataclass
class _Taken:
    """The networks of one measurement with its best repetition, how many there were, and how many of its profiles."""

    choices: Sequence[Choice]
    found: Measurement
    repeats: int = 0
    profile_repeats: int = 0


class Explorer:
    """All measurements of a device, in time or, where ``energy`` is asked for, in energy.

    ``known`` are costs in the unit of the model. Where energy is asked for, times are modelled, too:
    :attr:`latency_model`, for which ``known_ms`` are known. With ``period_ms`` the energy is that of an inference and
    of the rest of its period, see :func:`gdws.planning.search.energy.per_period`.
    """

    def __init__(
        self,
        space: Space,
        meter: Meter,
        *,
        known: Mapping[Class, Basis] | None = None,
        known_ms: Mapping[Class, Basis] | None = None,
        energy: bool = False,
        period_ms: float | None = None,
        seed: int = 0,
        tell: Tell = lambda line: None,
    ) -> None:
        self.space = space
        self._meter, self._known, self._energy, self._seed, self._tell = meter, dict(known or {}), energy, seed, tell
        self._known_ms, self._period_ms = known_ms, period_ms
        self._taken: list[_Taken] = []
        self.confirmations: list[Measurement] = []
        self._profiles: dict[Choice, Profile] = {}
        self.is_profiled, self._has_carriers = True, False
        self.checks: list[Check] = []
        self._models: dict[bool, LatencyModel] = {}

    @property
    def measurements(self) -> list[Measurement]:
        """What was measured of each group of networks, oldest first: of repetitions the one that is kept."""
        return [taken.found for taken in self._taken]

    @property
    def profiles(self) -> list[Profile]:
        """The profile of each network that was profiled, of repetitions the fastest."""
        return list(self._profiles.values())

    @property
    def model(self) -> LatencyModel:
        """The model of all that was measured so far."""
        return self._fitted(self._energy)

    @property
    def latency_model(self) -> LatencyModel:
        """The model of latencies in milliseconds, whatever the unit of :attr:`model` is."""
        return self._fitted(False)

    @property
    def dense(self) -> float:
        """What the dense network takes: the median over all measurements, in energies over confirmations if any."""
        if not self._energy:
            return self._dense_ms
        priced = [self.priced(each) for each in self.confirmations] or self._counted(True)
        return float(statistics.median(each.dense_mj for each in priced if each.dense_mj is not None))

    @property
    def dense_memory(self) -> Memory | None:
        """What the dense network took at its peak in the newest measurement; None if that is not measured."""
        return self._taken[-1].found.dense_memory

    @property
    def is_open(self) -> bool:
        """Whether anything was measured."""
        return bool(self._taken)

    @property
    def timings(self) -> dict[Choice, Timing]:
        """The newest timing of each network, its ratio in the unit of the model."""
        return {timing.choice: timing for each in self._counted(self._energy) for timing in each.timings}

    @property
    def doubts(self) -> list[str]:
        """What the device and the mapping of profiles raise: of each kind one, with how often it came."""
        unmapped = sorted({name for profile in self.profiles for name in profile.unmapped})
        found = [f"{name}: fused of several layers, so its time counts as the rest" for name in unmapped]
        counts = Counter(code for each in self.measurements for code in each.doubts)
        said = {code: sentence for each in self.measurements for code, sentence in each.doubts.items()}
        jobs = len(self._taken)
        off = sum(abs(each.dense_ms / self._dense_ms - 1) > SAME_STATE for each in self.measurements)
        if off:
            found.append(
                f"in {off} of {jobs} measurements the dense network took over {SAME_STATE:.0%} more or less time than "
                "in most: the machine does other work at times, or its clocks change; those count less"
            )
        return found + [f"{said[code]} (in {count} of {jobs} measurements)" for code, count in counts.items()]

    def measured(self, choice: Choice) -> float | None:
        """What a network takes by measurement, at the median of the dense network; None if it was not measured."""
        if choice == self.space.dense:
            return self.dense
        timing = self.timings.get(choice)
        return None if timing is None else timing.ratio * self.dense

    def tail_ms(self, choice: Choice) -> float | None:
        """The newest :attr:`Timing.tail_ms` of a network; None if it has none."""
        if choice == self.space.dense:
            tails = [each.dense_tail_ms for each in self.measurements if each.dense_tail_ms is not None]
            return statistics.median(tails) if tails else None
        found = [timing for each in self.measurements for timing in each.timings if timing.choice == choice]
        return found[-1].tail_ms if found else None

    @property
    def tail_factor(self) -> float:
        """How many times the median latency the tail is: the median over all networks, 1 if no tail is known."""
        pairs = [(each.dense_tail_ms, each.dense_ms) for each in self.measurements]
        pairs += [(t.tail_ms, t.ratio * each.dense_ms) for each in self.measurements for t in each.timings]
        factors = [tail_ms / ms for tail_ms, ms in pairs if tail_ms is not None and ms > 0]
        return statistics.median(factors) if factors else 1.0

    def confirm(self, choices: Sequence[Choice]) -> Measurement:
        """Measure networks and the dense one thoroughly, apart from what the model is fitted to."""
        found = self._meter.time(choices, thorough=True)
        self.confirmations.append(found)
        self._models.clear()
        return self.priced(found) if self._energy else found

    def open(self) -> None:
        """Measure carriers of all that is not known yet, and at least the dense network."""
        wanted = [
            [index for index, key in enumerate(classes_of(self.space, place)) if index and not self._is_known(key)]
            for place in range(len(self.space.layers))
        ]
        design = carriers(self.space, wanted, seed=self._seed)
        self._has_carriers = bool(design)
        if design:
            layers, networks = plural(len(self.space.layers), "layer"), plural(len(design), "carrier")
            self._tell(f"every option of {layers} is timed inside whole networks: {networks}")
        for group in _groups(design) or [[]]:
            self._profile(group)
            self._measure(group)
        if design and not self.is_profiled:
            classes = {key for place in range(len(self.space.layers)) for key in classes_of(self.space, place)}
            count = min(_UNPROFILED_CARRIERS * len(classes), _MOST_CARRIERS)
            self._tell(f"the runtime has no layer profiles: {count} whole networks tell the options apart instead")
            for group in _groups(carriers(self.space, wanted, count=count, seed=self._seed + 1)):
                self._measure(group)
        self._repeat_slow()
        self._repeat_disturbed_profiles()

    def time(self, choices: Sequence[Choice]) -> None:
        """Measure those of ``choices`` that were not measured, and note how well they were predicted."""
        new = [choice for choice in dict.fromkeys(choices) if self.measured(choice) is None]
        if not new:
            return
        predicted = {choice: self.model.predict(choice) for choice in new}
        for group in _groups(new):
            self._measure(group)
        self._repeat_slow()
        for choice in new:
            measured = self.measured(choice)
            if measured is not None:
                self.checks.append(Check(choice, *predicted[choice], measured))

    def time_uniform(self) -> None:
        """Measure networks of one option throughout: what one would try by hand, whatever the model thinks of them.

        Costs that are known were learned with those among them, so where all are none is measured.
        """
        if not self._has_carriers:
            return
        found = uniform(self.space)
        front = pareto([self.model.predict(choice)[0] for choice in found], [self.space.error(c) for c in found])
        self.time([found[index] for index in front[:GROUP]])

    def settle(self, solve: Solve, rounds: int) -> None:
        """Choose, measure the best few, correct the model and choose again, until the best choice was measured.

        Where a prediction was off the next choice stays within a number of layers of one that was measured: half of
        them, then half of that; one that was right lifts the bound.
        """
        near, radius = None, None
        for number in range(1, rounds + 1):
            best = solve(self.model, 1.0, near, radius)
            if best is None or self.measured(best) is not None:
                return
            others = [solve(self.model, tightness, near, radius) for tightness in _TIGHTNESS[1:]]
            choices = [best, *(other for other in others if other is not None)]
            expected = self.model.predict(best)[0]
            self._tell(f"round {number}: predicted {expected:.4g} {self.unit}")
            self.time(choices)
            measured = self.measured(best)
            if measured is None:
                return
            self._tell(f"round {number}: measured {measured:.4g} {self.unit}, {measured / expected - 1:+.1%}")
            if abs(measured / expected - 1) > _TRUSTED:
                near, radius = best, max(1, (radius or len(self.space.layers)) // 2)
            else:
                near, radius = None, None

    @property
    def unit(self) -> str:
        """Of the model's figures."""
        return "mJ" if self._energy else "ms"

    def learned(self) -> dict[Class, Basis]:
        """The cost of every option at every geometry that was measured, for networks to come."""
        return self._learned(self.model)

    def learned_ms(self) -> dict[Class, Basis]:
        """The same in milliseconds, whatever the unit of :attr:`model` is."""
        return self._learned(self.latency_model)

    def _learned(self, model: LatencyModel) -> dict[Class, Basis]:
        seen = {
            classes_of(self.space, place)[choice[place]]
            for choice in [self.space.dense, *self.timings]
            for place in range(len(self.space.layers))
        }
        return {
            key: Basis(ms=ms, known=True, sd=sd / max(abs(ms), 1e-9))
            for key, (ms, sd) in model.class_costs().items()
            if key in seen
        }

    def _fitted(self, energy: bool) -> LatencyModel:
        if energy not in self._models:
            dense_ms = self._dense_ms
            dense = self.dense if energy else dense_ms
            profiles = [_scaled(profile, dense / dense_ms) for profile in self.profiles]
            known = self._known if energy == self._energy else self._known_ms
            counted = self._counted(energy)
            newest = {timing.choice: job for job, each in enumerate(counted) for timing in each.timings}
            timings = [
                [_doubted(timing, each.dense_ms / dense_ms) for timing in each.timings if newest[timing.choice] == job]
                for job, each in enumerate(counted)
            ]
            bases = bases_of(self.space, dense, profiles, known)
            self._models[energy] = fit(self.space, dense, timings, bases)
        return self._models[energy]

    def _counted(self, energy: bool) -> list[Measurement]:
        return [self.priced(each) for each in self.measurements] if energy else self.measurements

    def _is_known(self, key: Class) -> bool:
        return key in self._known and (self._known_ms is None or key in self._known_ms)

    def _measure(self, choices: Sequence[Choice]) -> None:
        found = self._meter.time(choices)
        if self._energy:
            self.priced(found)  # or it raises, before more is measured in vain
        self._taken.append(_Taken(choices, found))
        self._models.clear()

    def _repeat_slow(self) -> None:
        """Measure again where the dense network took longer than in the fastest measurement, and keep the faster."""
        while sum(each.repeats for each in self._taken) < len(self._taken):
            taken = next((each for each in self._slower() if each.repeats < _REPEATS), None)
            if taken is None:
                return
            taken.repeats += 1
            excess = taken.found.dense_ms / min(each.dense_ms for each in self.measurements) - 1
            self._tell(f"the dense network took {excess:.0%} longer than at other times: measuring those again")
            found = self._meter.time(taken.choices, repeat=taken.repeats)
            if found.dense_ms < taken.found.dense_ms:
                taken.found = found
            self._models.clear()

    def _slower(self) -> list[_Taken]:
        return [self._taken[index] for index in slower([each.dense_ms for each in self.measurements])]

    def _repeat_disturbed_profiles(self) -> None:
        """Profile again what took longer in its profile than by itself, and keep the faster."""
        while sum(each.profile_repeats for each in self._taken) < len(self._taken):
            taken = next((each for each in self._disturbed() if each.profile_repeats < _REPEATS), None)
            if taken is None:
                return
            taken.profile_repeats += 1
            self._profile(taken.choices, repeat=taken.profile_repeats)
            self._models.clear()

    def _disturbed(self) -> list[_Taken]:
        timings = {timing.choice: timing.ratio * each.dense_ms for each in self.measurements for timing in each.timings}
        found = disturbed(self._profiles, {self.space.dense: self._dense_ms, **timings}, self.space.dense)
        return [taken for taken in self._taken if found.intersection(taken.choices)]

    def priced(self, found: Measurement) -> Measurement:
        """``found`` with ratios of energies; raises :class:`~gdws.errors.GdwsError` where the device measures none."""
        if found.dense_mj is None:
            raise GdwsError(
                "the device measures no energy", hint="ask for a latency, or measure on a board with a power sensor"
            )
        return in_energies(found if self._period_ms is None else per_period(found, self._period_ms))

    def _profile(self, choices: Sequence[Choice], repeat: int = 0) -> None:
        if not choices or not self.is_profiled:
            return
        found = self._meter.profile([self.space.dense, *choices], repeat=repeat)
        self.is_profiled = found is not None
        for profile in found or []:
            before = self._profiles.get(profile.choice)
            if before is None or profile.ms < before.ms:
                self._profiles[profile.choice] = profile

    @property
    def _dense_ms(self) -> float:
        return float(statistics.median(each.dense_ms for each in self.measurements))


def probes(space: Space, *, seed: int = 0) -> Sequence[Choice]:
    """The first networks that an explorer without known costs measures: they run many options of every kind."""
    wanted = [list(range(1, len(layer.options))) for layer in space.layers]
    return carriers(space, wanted, seed=seed)[:GROUP]


def _groups(choices: Sequence[Choice]) -> list[Sequence[Choice]]:
    return [choices[start : start + GROUP] for start in range(0, len(choices), GROUP)]


def _scaled(profile: Profile, factor: float) -> Profile:
    """``profile`` in the unit of a model."""
    shares = {name: LayerShare(share.ms * factor, share.nodes) for name, share in profile.shares.items()}
    return replace(profile, shares=shares, rest=LayerShare(profile.rest.ms * factor, profile.rest.nodes))


def _doubted(timing: Timing, dense_ratio: float) -> Timing:
    """``timing`` less sure by as much as the machine was in another state than it mostly is."""
    off = abs(dense_ratio - 1)
    return timing if off <= SAME_STATE else replace(timing, relative_sd=(timing.relative_sd**2 + off**2) ** 0.5)
