"""What a search makes of a machine that is not always the same."""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from gdws.planning.search.evidence import Measurement, Profile
from gdws.planning.search.explorer import Explorer
from gdws.planning.search.space import Choice
from support.simulated_device import SimulatedMeter, make_space


@dataclass
class TwoStates(SimulatedMeter):
    """A machine that is slower in the jobs that ``is_slow`` names, and networks of many nodes more so than dense."""

    slow: frozenset[int] = frozenset()
    repeats: int = 0
    count: int = 0

    def time(self, choices: Sequence[Choice], *, thorough: bool = False, repeat: int = 0) -> Measurement:
        number, self.count, self.repeats = self.count, self.count + 1, self.repeats + (repeat > 0)
        found = super().time(choices, thorough=thorough, repeat=repeat)
        if number not in self.slow:
            return found
        timings = tuple(replace(each, ratio=1.8 * each.ratio) for each in found.timings)
        return replace(found, timings=timings, dense_ms=1.25 * found.dense_ms)


def _error(meter: TwoStates) -> tuple[float, Explorer]:
    """The median error of predicted latencies of networks that were not measured."""
    explorer = Explorer(meter.space, meter)
    explorer.open()
    drawn = random.Random(1)
    choices = [tuple(drawn.randrange(len(layer.options)) for layer in meter.space.layers) for _ in range(20)]
    errors = [abs(explorer.model.predict(choice)[0] / meter.law.of(choice) - 1) for choice in choices]
    return statistics.median(errors), explorer


@pytest.mark.parametrize("slow", [(0,), (1,), (0, 1)])
def test_what_was_measured_while_the_machine_was_slower_is_measured_again(slow: tuple[int, ...]):
    meter = TwoStates(make_space(layers=6), slow=frozenset(slow))
    undisturbed, _ = _error(TwoStates(make_space(layers=6)))
    error, explorer = _error(meter)
    # Where all was slow the machine is taken to be that way, until something faster is seen.
    assert meter.repeats == (0 if len(slow) == len(explorer.measurements) else len(slow))
    if meter.repeats:
        assert error == pytest.approx(undisturbed)
        assert explorer.dense == pytest.approx(meter.law.of(meter.space.dense))
        assert not any("dense network took" in doubt for doubt in explorer.doubts)


def test_a_faster_state_that_is_seen_late_is_reason_to_measure_again():
    space = make_space(layers=6)
    opening = len(_error(TwoStates(space))[1].measurements)
    meter = TwoStates(space, slow=frozenset(range(opening)))
    error, explorer = _error(meter)
    assert error > 0.2
    explorer.time([tuple(1 for _ in space.layers)])
    assert meter.repeats == opening
    assert explorer.dense == pytest.approx(meter.law.of(space.dense))


def test_a_state_that_lasts_is_told_and_repeated_only_so_often():
    space = make_space(layers=6)
    opening = len(_error(TwoStates(space))[1].measurements)
    assert opening > 1
    meter = TwoStates(space, slow=frozenset(range(1, 100)))
    _, explorer = _error(meter)
    assert meter.repeats == min(2 * (opening - 1), opening)  # each twice, and no more than there are measurements
    assert any("more or less time than in most" in doubt for doubt in explorer.doubts)


def test_what_was_measured_in_another_state_than_most_teaches_little():
    space = make_space(layers=6)
    choice = tuple(1 for _ in space.layers)
    undisturbed = Explorer(space, TwoStates(space))
    undisturbed.open()
    opening = len(undisturbed.measurements)
    before = undisturbed.model.predict(choice)[0]
    explorer = Explorer(space, TwoStates(space, slow=frozenset(range(opening, 100))))
    explorer.open()
    explorer.time([choice])
    measured = explorer.measured(choice)
    assert measured is not None
    assert abs(explorer.model.predict(choice)[0] / before - 1) < 0.3 * abs(measured / before - 1)


def test_profiles_of_a_slower_machine_are_taken_again():
    @dataclass
    class SlowProfiles(SimulatedMeter):
        """The first profiles are of a machine on which every node takes longer."""

        taken: int = 0

        def profile(self, choices: Sequence[Choice], *, repeat: int = 0) -> list[Profile] | None:
            self.taken += 1
            overhead_ms, self.overhead_ms = self.overhead_ms, self.overhead_ms + (0.2 if self.taken == 1 else 0.0)
            found = super().profile(choices, repeat=repeat)
            self.overhead_ms = overhead_ms
            return found

    space = make_space(layers=6)
    quiet, disturbed = SimulatedMeter(space, profile_scale=1.0), SlowProfiles(space, profile_scale=1.0)
    expected, explorer = Explorer(space, quiet), Explorer(space, disturbed)
    expected.open()
    explorer.open()
    assert disturbed.taken > len(explorer.measurements)
    assert {profile.choice: profile.ms for profile in explorer.profiles} == pytest.approx(
        {profile.choice: profile.ms for profile in expected.profiles}
    )
