from __future__ import annotations

import itertools

import pytest

from gdws.planning.search.choose import Limits, best_choice, greedy_choice
from gdws.planning.search.costs import Costs
from gdws.planning.search.space import Space
from support.simulated_device import SimulatedMeter, make_space


def _costs(pair_term: float, layers: int = 4, seed: int = 0) -> Costs:
    return SimulatedMeter(make_space(layers, seed=seed), seed=seed, pair_term=pair_term).law


@pytest.mark.parametrize("pair_term", [0.0, 0.3])
@pytest.mark.parametrize("seed", range(3))
def test_the_choice_is_that_of_enumeration(pair_term: float, seed: int):
    costs = _costs(pair_term, seed=seed)
    space = costs.space
    everything = list(itertools.product(range(6), repeat=4))
    dense = costs.of(space.dense)
    for share in (0.45, 0.6, 0.8):
        within = [choice for choice in everything if costs.of(choice) <= share * dense]
        found = best_choice(costs, "error", Limits(cost=share * dense))
        if not within:
            assert found is None
            continue
        assert found is not None
        assert costs.of(found) <= share * dense * (1 + 1e-9)
        assert space.error(found) == pytest.approx(min(map(space.error, within)), rel=2e-4)
        back = best_choice(costs, "cost", Limits(error=space.error(found)))
        assert back is not None
        allowed = [choice for choice in everything if space.error(choice) <= space.error(found)]
        assert costs.of(back) == pytest.approx(min(map(costs.of, allowed)), rel=2e-4)


def test_the_greedy_answer_is_a_bound_where_there_are_no_pair_terms():
    costs = _costs(0.0, layers=10)
    for share in (0.4, 0.55, 0.7):
        bound = share * costs.of(costs.space.dense)
        exact, greedy = best_choice(costs, "error", Limits(cost=bound)), greedy_choice(costs, bound)
        assert exact is not None
        assert greedy is not None
        assert costs.space.error(exact) <= costs.space.error(greedy) * (1 + 2e-4)


def test_a_neighbourhood_and_exclusions_are_kept():
    costs = _costs(0.2)
    best = best_choice(costs, "cost")
    assert best is not None
    near = best_choice(costs, "cost", Limits(near=costs.space.dense, radius=2))
    assert near is not None
    assert sum(map(bool, near)) <= 2
    second = best_choice(costs, "cost", Limits(other_than=[best]))
    assert second not in (None, best)
    assert best_choice(costs, "cost", Limits(cost=0.0)) is None


def test_a_network_without_layers_has_one_choice():
    empty = Costs(Space(()), 2.0, (), {})
    assert best_choice(empty, "cost", Limits(cost=2.0)) == ()
    assert best_choice(empty, "cost", Limits(cost=1.0)) is None


@pytest.mark.parametrize("pair_term", [0.0, 0.2])
def test_two_hundred_layers_are_no_hindrance(pair_term: float):
    costs = _costs(pair_term, layers=200)
    bound = 0.6 * costs.of(costs.space.dense)
    found = best_choice(costs, "error", Limits(cost=bound))
    assert found is not None
    assert costs.of(found) <= bound * (1 + 1e-6)
