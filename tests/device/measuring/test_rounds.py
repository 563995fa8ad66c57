from collections import Counter

import pytest

from gdws_agent.measuring.rounds import round_orders, williams_square


@pytest.mark.parametrize("count", range(1, 9))
def test_the_square_is_balanced(count):
    square = williams_square(count)
    assert all(sorted(row) == list(range(count)) for row in square)
    places = Counter((place, number) for row in square for place, number in enumerate(row))
    assert set(places.values()) == {len(square) // count}
    subscribers = Counter((row[place], row[place + 1]) for row in square for place in range(count - 1))
    assert len(subscribers) == count * (count - 1)
    assert len(set(subscribers.values())) <= 1


def test_every_round_has_every_variant():
    for order in round_orders(5, 23, seed=3):
        assert sorted(order) == [0, 1, 2, 3, 4]
    assert len(round_orders(5, 23, seed=3)) == 23


def test_the_seed_decides():
    assert round_orders(5, 10, seed=1) == round_orders(5, 10, seed=1)
    assert len({tuple(map(tuple, round_orders(5, 10, seed))) for seed in range(8)}) > 4
