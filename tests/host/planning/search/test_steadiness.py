from __future__ import annotations

import random

import pytest

from gdws.planning.search.evidence import LayerShare, Profile
from gdws.planning.search.space import Choice
from gdws.planning.search.steadiness import disturbed, slower, surest


def test_measurements_of_a_slower_machine():
    assert slower([1.0, 1.02, 1.3, 0.99, 1.1]) == [2, 4]
    assert slower([1.0]) == slower([]) == []


DENSE = (0,)


def _profiles(
    *, slowed: dict[int, float], scale: float = 1.0, count: int = 12
) -> tuple[dict[Choice, Profile], dict[Choice, float]]:
    """Profiles that slow all by ``scale``, add 3 µs a node and vary by 2 %; those ``slowed`` take longer still."""
    drawn = random.Random(0)
    profiles, measured = {}, {}
    for number in range(count):
        is_dense = (number,) == DENSE
        nodes, latency_ms = (12, 2.0) if is_dense else (drawn.randint(30, 60), drawn.uniform(0.4, 1.5))
        ms = (scale * latency_ms + 0.003 * nodes) * drawn.uniform(0.98, 1.02) * slowed.get(number, 1.0)
        shares = {"conv1": LayerShare(0.7 * ms, nodes - 5)}
        profiles[number,] = Profile((number,), shares, LayerShare(0.3 * ms, 5))
        measured[number,] = latency_ms
    return profiles, measured


@pytest.mark.parametrize("scale", [1.0, 1.3])
@pytest.mark.parametrize("slowed", [{}, {3: 1.3}, {2: 1.25, 5: 2.0, 9: 1.5, 11: 1.4}])
def test_profiles_that_their_networks_do_not_explain(slowed: dict[int, float], scale: float):
    assert disturbed(*_profiles(slowed=slowed, scale=scale), DENSE) == {(number,) for number in slowed}


def test_a_network_that_was_not_timed_is_left_out():
    profiles, measured = _profiles(slowed={3: 2.0})
    del measured[3,]
    assert disturbed(profiles, measured, DENSE) == set()
    assert disturbed(profiles, {}, DENSE) == disturbed({}, measured, DENSE) == set()


@pytest.mark.parametrize(
    ("margins", "expected", "tried"),
    [([0.01], 0, 1), ([0.3, 0.02], 1, 2), ([0.3, 0.1, 0.2], 1, 3), ([0.3, 0.2, 0.1, 0.0], 2, 3)],
)
def test_what_decides_is_repeated_until_it_is_sure_enough(margins: list[float], expected: int, tried: int):
    taken: list[int] = []

    def take(number: int) -> int:
        taken.append(number)
        return number

    assert surest(take, lambda number: margins[number]) == expected
    assert taken == list(range(tried))
