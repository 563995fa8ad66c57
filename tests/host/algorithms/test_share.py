"""One budget for all layers against exhaustive search."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdws.algorithms.share import Option, share

costs, errors = st.integers(0, 12), st.integers(0, 40)
networks = st.lists(
    st.lists(st.builds(Option, cost=costs, error=errors), min_size=1, max_size=4), min_size=1, max_size=4
)


def total(layers, chosen):
    picked = [options[index] for options, index in zip(layers, chosen, strict=True)]
    return sum(option.cost for option in picked), sum(option.error for option in picked)


@given(networks, st.integers(0, 48))
def test_the_budget_is_kept_or_refused(layers, budget):
    least = sum(min(option.cost for option in options) for options in layers)
    if least > budget:
        with pytest.raises(ValueError, match="more than the budget"):
            share(layers, budget)
        return
    cost, _ = total(layers, share(layers, budget))
    assert cost <= budget


@given(networks)
def test_without_a_bound_each_layer_errs_least(layers):
    _, error = total(layers, share(layers, budget=1000))
    assert error == sum(min(option.error for option in options) for options in layers)


@given(networks, st.integers(0, 48))
def test_it_is_within_one_step_of_the_best(layers, budget):
    """The greedy choice errs at most by what its first step that did not fit would have gained."""
    least = sum(min(option.cost for option in options) for options in layers)
    if least > budget:
        return
    _, error = total(layers, share(layers, budget))
    best = min(
        found[1]
        for chosen in product(*(range(len(options)) for options in layers))
        if (found := total(layers, chosen))[0] <= budget
    )
    widest = max(max(o.error for o in options) - min(o.error for o in options) for options in layers)
    assert best <= error <= best + widest


@given(
    st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=3), min_size=1, max_size=3),
    st.integers(0, 9),
)
def test_it_is_the_best_where_steps_shrink_and_cost_the_same(gains, budget):
    """Each component of a layer costs one and gains less than the one before: the case of ranks."""
    layers = []
    for steps in gains:
        falling = sorted(steps, reverse=True)
        layers.append([Option(cost=n, error=sum(falling[n:])) for n in range(len(falling) + 1)])
    _, error = total(layers, share(layers, budget))
    best = min(
        found[1]
        for chosen in product(*(range(len(options)) for options in layers))
        if (found := total(layers, chosen))[0] <= budget
    )
    assert error == best


def test_a_step_over_a_bad_option_is_taken():
    options = [Option(0, 10.0), Option(1, 9.9), Option(2, 0.0)]
    assert share([options], 2) == [2]


def test_a_layer_without_options_is_refused():
    with pytest.raises(ValueError, match="no option"):
        share([[Option(1, 1)], []], 5)
