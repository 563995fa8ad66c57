"""The least energy within a deadline, over states of a device that follow a known law."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import replace

import pytest

from gdws.errors import GdwsError, SettingUnavailable
from gdws.planning.search.deadline import DeadlineAnswer, DeadlineSearch
from gdws.planning.search.evidence import Measurement
from gdws.planning.search.explorer import Explorer
from gdws.planning.search.goals import AccuracyLimits
from gdws.planning.search.memory import MemoryLimit
from gdws.planning.search.space import Choice
from gdws_contract.memory import Memory
from support.simulated_device import SimulatedJudge, SimulatedMeter, make_space

LIMITS = AccuracyLimits(1.0, 2.0)
SPACE = make_space(layers=4)
#: (times slower, watts while a network runs): a slow mode that takes less energy, and one that is slow for nothing.
MAXN, LOW, POOR = (1.0, 30.0), (2.0, 10.0), (2.5, 25.0)
REBOOT = SettingUnavailable("the board must reboot to enter it", url="http://board")


def _meters(**states: tuple[float, float]) -> dict[str, SimulatedMeter]:
    return {
        name: SimulatedMeter(SPACE, pace=pace, mj_per_ms=watts, idle_w=6.0, noise=0.002)
        for name, (pace, watts) in states.items()
    }


def _search(
    meters: dict[str, SimulatedMeter],
    deadline_ms: float,
    *,
    limits: AccuracyLimits = LIMITS,
    period_ms: float | None = None,
    memory: MemoryLimit | None = None,
) -> tuple[DeadlineAnswer, DeadlineSearch]:
    explorers = {
        name: Explorer(SPACE, meter, known_ms={}, energy=True, period_ms=period_ms) for name, meter in meters.items()
    }
    search = DeadlineSearch(SPACE, explorers, SimulatedJudge(SPACE, bias=0.1), deadline_ms, limits, memory=memory)
    return search.run(), search


def _least_energy(meters: dict[str, SimulatedMeter], deadline_ms: float) -> float:
    """By enumeration."""
    judge = SimulatedJudge(SPACE, bias=0.1)
    allowed = [c for c in itertools.product(range(6), repeat=4) if LIMITS.excess(judge.loss(c)) <= 1]
    return min(
        meter.mj_per_ms * meter.law.of(choice)
        for meter in meters.values()
        for choice in allowed
        if meter.tail * meter.law.of(choice) <= deadline_ms
    )


@pytest.mark.parametrize(("share", "state"), [(3.0, "low"), (0.6, "maxn")])
def test_the_state_and_the_network_are_close_to_the_best_of_all(share: float, state: str):
    meters = _meters(maxn=MAXN, low=LOW, poor=POOR)
    deadline_ms = share * meters["maxn"].law.of(SPACE.dense)
    answer, _ = _search(meters, deadline_ms)
    assert answer.status == "delivered"
    assert answer.pick is not None
    assert answer.pick.state == state
    meter = meters[state]
    assert meter.tail * meter.law.of(answer.pick.choice) <= deadline_ms
    assert meter.mj_per_ms * meter.law.of(answer.pick.choice) <= 1.08 * _least_energy(meters, deadline_ms)
    assert LIMITS.excess(answer.final[answer.pick.choice]) <= 1


def test_a_state_that_promises_more_energy_is_not_searched():
    meters = _meters(low=LOW, poor=POOR)
    _search(meters, 1e3)
    opening = len(_search(_meters(poor=POOR), 1e-6)[1].explorers["poor"].timings)
    assert len(meters["poor"].jobs) == opening


def test_a_deadline_is_held_against_the_99th_percentile():
    meters = _meters(maxn=MAXN)
    meters["maxn"].tail = 4.0
    deadline_ms = 2.0 * meters["maxn"].law.of(SPACE.dense)
    answer, _ = _search(meters, deadline_ms)
    assert answer.pick is not None
    assert 4.0 * meters["maxn"].law.of(answer.pick.choice) <= deadline_ms


def test_the_rest_of_a_period_speaks_for_a_state_that_idles_at_less():
    """Running fast and resting takes less while it runs, and more over the period."""
    meters = _meters(fast=(1.0, 20.0), slow=(2.0, 10.5))
    meters["slow"].idle_w = 1.0
    deadline_ms = 4 * meters["fast"].law.of(SPACE.dense)
    by_inference, _ = _search(meters, deadline_ms)
    by_period, _ = _search(meters, deadline_ms, period_ms=deadline_ms)
    assert by_inference.pick is not None
    assert by_period.pick is not None
    assert (by_inference.pick.state, by_period.pick.state) == ("fast", "slow")


def test_dense_is_the_answer_where_nothing_else_keeps_the_limits():
    meters = _meters(maxn=MAXN, low=LOW)
    answer, _ = _search(meters, 1e3, limits=AccuracyLimits(0.0, 0.0))
    assert answer.status == "dense suffices"
    assert answer.pick == ("low", SPACE.dense)
    assert "the dense network takes the least energy, in low" in answer.reason


@pytest.mark.parametrize(
    ("deadline_ms", "limits", "words"),
    [
        (1e-3, LIMITS, r"no network was measured to take 0\.001 ms: the fastest takes .* 99th percentile, in maxn"),
        (6.0, AccuracyLimits(1e-4, 1e-4), r"lose more accuracy than is allowed: .*; within the limits the fastest"),
    ],
)
def test_what_no_network_meets_is_declined_with_the_best_there_is(
    deadline_ms: float, limits: AccuracyLimits, words: str
):
    answer, _ = _search(_meters(maxn=MAXN, low=LOW), deadline_ms, limits=limits)
    assert (answer.status, answer.pick) == ("declined", None)
    assert re.search(words, answer.reason)


def test_states_that_the_device_does_not_enter_are_left_out_and_told():
    meters = _meters(maxn=MAXN, low=LOW)
    meters["low"].refusal = REBOOT
    answer, search = _search(meters, 1e3)
    assert answer.status == "delivered"
    assert answer.doubts == ("low was left out: the board must reboot to enter it",)
    assert list(search.explorers) == ["maxn"]
    meters["maxn"].refusal = REBOOT
    with pytest.raises(SettingUnavailable):
        _search(meters, 1e3)


def test_energies_and_rest_must_be_measured():
    with pytest.raises(GdwsError, match="measures no energy"):
        _search({"maxn": SimulatedMeter(SPACE)}, 1e3)
    with pytest.raises(GdwsError, match="no idle power"):
        _search({"maxn": SimulatedMeter(SPACE, mj_per_ms=1.0)}, 1e3, period_ms=1e3)


def test_a_memory_limit_binds_too():
    class Large(SimulatedMeter):
        """Converted networks that take more than the dense one."""

        def time(self, choices: Sequence[Choice], *, thorough: bool = False, repeat: int = 0) -> Measurement:
            found = super().time(choices, thorough=thorough, repeat=repeat)
            timings = tuple(replace(timing, memory=_memory(200)) for timing in found.timings)
            return replace(found, timings=timings, dense_memory=_memory(50))

    meters = {"low": Large(SPACE, pace=2.0, mj_per_ms=10.0)}
    assert _search(meters, 1e3, memory=MemoryLimit(300))[0].status == "delivered"
    assert _search(meters, 1e3, memory=MemoryLimit(100))[0].status == "dense suffices"
    answer, _ = _search(meters, 1e3, memory=MemoryLimit(10))
    assert (answer.status, answer.pick) == ("declined", None)
    assert answer.reason == (
        "no network that meets 1000 ms keeps the memory limit; of the smallest, its peak memory is 50 MiB, above 10 MiB"
    )


def _memory(mebibytes: int) -> Memory:
    return Memory(total_peak_bytes=mebibytes * 2**20)
