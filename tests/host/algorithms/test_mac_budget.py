"""Ranks for a whole network under one bound on its MACs."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdws.algorithms.cost import weighted_error
from gdws.algorithms.mac_budget import VECTOR, Candidate, nested_ranks, ranks_within
from gdws.algorithms.spectrum import Spectrum, decompose
from gdws_contract.costs import dense_weights, gdws_weights


def candidate(spectrum, positions=1, *, alphas=None, equal=False):
    ranks = nested_ranks(spectrum, alphas, equal=equal)
    errors = [weighted_error(spectrum, each, alphas) for each in ranks]
    return Candidate(spectrum.weight.shape, positions, ranks, errors)


def network(seed, count=3, *, equal=False):
    """Weights of different shapes at different numbers of positions."""
    random = np.random.default_rng(seed)
    shapes = [(20, 8, 3, 3), (15, 16, 3, 3), (16, 12, 2, 2)][:count]
    return [
        candidate(
            decompose(random.standard_normal(shape) * random.uniform(0.2, 2)), int(random.integers(1, 20)), equal=equal
        )
        for shape in shapes
    ]


def macs_of(one, ranks):
    weights = dense_weights(one.weight_shape) if ranks is None else gdws_weights(one.weight_shape, int(ranks.sum()))
    return one.positions * weights


def error_of(one, ranks):
    if ranks is None:
        return 0.0
    return next(error for each, error in zip(one.ranks, one.errors, strict=True) if np.array_equal(each, ranks))


def totals(candidates, ranks):
    pairs = list(zip(candidates, ranks, strict=True))
    return sum(macs_of(*pair) for pair in pairs), sum(error_of(*pair) for pair in pairs)


@given(st.integers(0, 500), st.floats(0.2, 1.0), st.booleans())
@settings(max_examples=40, deadline=None)
def test_the_bound_is_kept(seed, part, equal):
    candidates = network(seed, equal=equal)
    dense = sum(macs_of(each, None) for each in candidates)
    bound = max(part * dense, sum(macs_of(each, each.ranks[0]) for each in candidates))
    assert totals(candidates, ranks_within(candidates, bound))[0] <= bound


@given(st.integers(0, 500), st.floats(0.3, 0.9))
@settings(max_examples=40, deadline=None)
def test_it_is_near_the_best_of_all_choices(seed, part):
    """The greedy choice is off by less than one step of one weight."""
    candidates = network(seed, count=2, equal=True)
    dense = sum(macs_of(each, None) for each in candidates)
    every = [totals(candidates, choice) for choice in product(*([*each.ranks, None] for each in candidates))]
    bound = max(part * dense, min(macs for macs, _ in every))
    best = min(error for macs, error in every if macs <= bound)
    _, found = totals(candidates, ranks_within(candidates, bound))
    assert best - 1e-9 <= found <= best + max(max(each.errors) for each in candidates)


@given(st.integers(0, 500), st.booleans())
@settings(max_examples=30, deadline=None)
def test_the_ranks_on_offer_grow_and_err_less(seed, equal):
    for one in network(seed, equal=equal):
        sums = [int(each.sum()) for each in one.ranks]
        assert sums == sorted(set(sums))
        assert list(one.errors) == sorted(one.errors, reverse=True)
        assert all(macs_of(one, each) < macs_of(one, None) for each in one.ranks)
        if equal:
            assert all(len(set(each.tolist())) == 1 for each in one.ranks)
        else:
            assert len(one.ranks[0]) < VECTOR or all(total % VECTOR == 0 for total in sums[:-1])


def test_a_weight_is_worth_more_where_it_errs_more():
    small, large = (decompose(scale * np.random.default_rng(0).standard_normal((8, 4, 3, 3))) for scale in (0.1, 10))
    bound = 2 * 4 * (9 + 8) * 2
    modest, wanted = ranks_within([candidate(small, equal=True), candidate(large, equal=True)], bound)
    assert (modest.max(), wanted.max()) == (1, 3)


def test_alphas_say_which_channels_come_first():
    spectrum = decompose(np.random.default_rng(0).standard_normal((8, 4, 3, 3)))
    few = nested_ranks(spectrum, [1, 1, 1e6, 1])[1]
    assert few.tolist() == [0, 0, 2, 0]


@pytest.mark.parametrize("equal", [False, True])
def test_where_dense_macs_do_every_weight_stays_dense(equal):
    candidates = network(0, equal=equal)
    assert ranks_within(candidates, sum(macs_of(each, None) for each in candidates)) == [None] * 3


@pytest.mark.parametrize("equal", [False, True])
def test_a_weight_of_low_rank_is_kept_exactly_and_not_dense(equal):
    random = np.random.default_rng(0)
    low = np.einsum("mc,ck->mck", random.standard_normal((16, 4)), random.standard_normal((4, 9))).reshape(16, 4, 3, 3)
    one = candidate(decompose(low), equal=equal)
    [ranks] = ranks_within([one], macs_of(one, None))
    assert ranks.tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("equal", [False, True])
def test_a_weight_of_zeros_costs_nothing(equal):
    [ranks] = ranks_within([candidate(decompose(np.zeros((8, 4, 3, 3))), equal=equal)], 0)
    assert ranks.tolist() == [0, 0, 0, 0]


def test_what_cannot_be_met_is_refused():
    with pytest.raises(ValueError, match="more than the budget"):
        ranks_within(network(0), 1)


def test_without_weights_there_is_nothing_to_choose():
    assert ranks_within([], 10) == []


def test_unequal_ranks_go_to_the_channels_that_need_them():
    squares = np.zeros((16, 4))
    squares[:4] = 5.0
    squares[4:, 0] = 1e-3
    unused = np.zeros((16, 4, 2, 2))
    spectrum = Spectrum(weight=np.zeros((32, 16, 2, 2)), squares=squares, filters=unused, directions=unused)
    [ranks] = ranks_within([candidate(spectrum)], VECTOR * (4 + 32))
    assert ranks.tolist() == [4] * 4 + [0] * 12
