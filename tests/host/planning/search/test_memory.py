from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from gdws.errors import GdwsError
from gdws.planning.search.evidence import Measurement
from gdws.planning.search.goals import AccuracyLimits, Goal
from gdws.planning.search.memory import MemoryLimit
from gdws.planning.search.search import Answer, Search
from gdws.planning.search.space import Choice
from gdws_contract.memory import Memory
from support.simulated_device import SimulatedJudge, SimulatedMeter, make_space

LIMITS = AccuracyLimits(1.0, 2.0)
#: What the dense network of the simulation takes, and each converted layer on top.
DENSE_MIB, LAYER_MIB = 100, 5


def mib(value: float) -> Memory:
    return Memory(total_peak_bytes=round(value * 2**20))


@dataclass
class MemoryMeter(SimulatedMeter):
    """Each layer that is converted takes :data:`LAYER_MIB` more; the thorough measurement adds ``surprise_mib``."""

    surprise_mib: float = 0.0
    unknown: str | None = None

    def time(self, choices: Sequence[Choice], *, thorough: bool = False, repeat: int = 0) -> Measurement:
        found = super().time(choices, thorough=thorough, repeat=repeat)
        extra = self.surprise_mib if thorough else 0.0
        timings = tuple(replace(each, memory=self._memory(each.choice, extra)) for each in found.timings)
        return replace(found, timings=timings, dense_memory=self._memory(self.space.dense, 0.0))

    def _memory(self, choice: Choice, extra: float) -> Memory:
        if self.unknown is not None:
            return Memory(device_reason=self.unknown)
        return mib(DENSE_MIB + LAYER_MIB * sum(index > 0 for index in choice) + extra)


def converted(choice: Choice) -> int:
    return sum(index > 0 for index in choice)


def search(goal: Goal, limit_mib: float, **fields: object) -> Answer:
    meter = MemoryMeter(make_space(5), **fields)  # type: ignore[arg-type]
    judge = SimulatedJudge(meter.space, bias=0.1)
    return Search(meter.space, meter, judge, goal, LIMITS, memory=MemoryLimit(limit_mib)).run()


@pytest.mark.parametrize("goal", [Goal("fastest"), Goal("min_speedup", 1.8), Goal("pareto", 4)])
def test_a_network_above_the_limit_is_not_delivered(goal: Goal):
    free, limited = (search(goal, limit) for limit in (1_000, DENSE_MIB + 3 * LAYER_MIB))

    assert max(map(converted, free.choices)) > 3
    assert all(converted(choice) <= 3 for choice in limited.choices)


def test_a_limit_that_no_network_keeps_declines_with_the_smallest():
    answer = search(Goal("fastest"), 50)

    assert answer.status == "declined"
    assert "no network keeps the memory limit; of the smallest, its peak memory is 1" in answer.reason
    assert answer.reason.endswith(
        "Nor does the dense network keep the memory limit: its peak memory is 100 MiB, above 50 MiB"
    )


def test_a_dense_network_above_the_limit_does_not_suffice():
    assert search(Goal("max_latency_ms", 1e3), 1_000).status == "dense suffices"
    assert search(Goal("max_latency_ms", 1e3), 99).status == "declined"


def test_the_thorough_measurement_has_the_last_word():
    answer = search(Goal("fastest"), 1_000, surprise_mib=2_000)

    assert answer.status == "declined"
    assert "measured thoroughly, its peak memory is 2" in answer.reason


def test_unknown_memory_refuses_the_limit_with_the_reason():
    with pytest.raises(GdwsError, match="peak memory is not known on this device: the runtime does not tell") as caught:
        search(Goal("fastest"), 1_000, unknown="the runtime does not tell")
    assert "--max-memory-mib" in (caught.value.hint or "")


def test_a_network_is_refused_by_its_own_figure():
    limit = MemoryLimit(100)

    assert limit.refusal(mib(100)) is None
    assert limit.refusal(mib(100.5)) == "its peak memory is 100.5 MiB, above 100 MiB"
    assert limit.refusal(None) == "its peak memory is not known: the agent does not measure it"
    assert limit.refusal_of_all([mib(300), None, mib(200)]) == (
        "no network keeps the memory limit; of the smallest, its peak memory is 200 MiB, above 100 MiB"
    )
    assert limit.refusal_of_all([mib(300), mib(50)]) is None
    assert limit.refusal_of_all([]) is None


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_a_limit_is_a_positive_number(value: float):
    with pytest.raises(GdwsError, match="expected a positive number"):
        MemoryLimit(value)
