"""Ranks for a whole network under one bound on its MACs."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdws.algorithms.cost import dense_weights, gdws_weights, weighted_error
from gdws.algorithms.mac_budget import Candidate, ranks_within
from gdws.algorithms.spectrum import Spectrum, decompose


def network(seed, count=3):
    """Weights of different shapes at different numbers of positions."""
    random = np.random.default_rng(seed)
    shapes = [(6, 3, 3, 3), (5, 6, 3, 3), (8, 4, 2, 2)][:count]
    return [
        Candidate(decompose(random.standard_normal(shape) * random.uniform(0.2, 2)), int(random.integers(1, 20)))
        for shape in shapes
    ]


def macs_of(candidate, ranks):
    shape = candidate.spectrum.weight.shape
    return candidate.positions * (dense_weights(shape) if ranks is None else gdws_weights(shape, int(ranks.sum())))


def error_of(candidate, ranks):
    return 0.0 if ranks is None else weighted_error(candidate.spectrum, ranks, candidate.alphas)


def totals(candidates, ranks):
    pairs = list(zip(candidates, ranks, strict=True))
    return sum(macs_of(*pair) for pair in pairs), sum(error_of(*pair) for pair in pairs)


@given(st.integers(0, 500), st.floats(0.2, 1.0), st.booleans())
@settings(max_examples=40, deadline=None)
def test_the_bound_is_kept(seed, part, equal):
    candidates = network(seed)
    dense = sum(macs_of(each, None) for each in candidates)
    least = sum(macs_of(each, np.ones(each.spectrum.weight.shape[1], int)) for each in candidates)
    bound = max(part * dense, least)
    ranks = ranks_within(candidates, bound, equal=equal)
    assert totals(candidates, ranks)[0] <= bound
    if equal:
        assert all(each is None or len(set(each.tolist())) == 1 for each in ranks)


@given(st.integers(0, 500), st.floats(0.3, 0.9))
@settings(max_examples=40, deadline=None)
def test_equal_ranks_are_near_the_best_of_all_choices(seed, part):
    """The greedy choice is off by less than one step of one weight."""
    candidates = network(seed, count=2)
    dense = sum(macs_of(each, None) for each in candidates)
    offered = [[*(np.full(each.spectrum.weight.shape[1], rank) for rank in range(1, 5)), None] for each in candidates]
    every = [totals(candidates, choice) for choice in product(*offered)]
    bound = max(part * dense, min(macs for macs, _ in every))
    best = min(error for macs, error in every if macs <= bound)
    _, found = totals(candidates, ranks_within(candidates, bound, equal=True))
    widest = max(error_of(each, np.ones(each.spectrum.weight.shape[1], int)) for each in candidates)
    assert best - 1e-9 <= found <= best + widest


def test_a_weight_is_worth_more_where_it_errs_more():
    small, large = (decompose(scale * np.random.default_rng(0).standard_normal((8, 4, 3, 3))) for scale in (0.1, 10))
    bound = 2 * 4 * (9 + 8) * 2
    modest, wanted = ranks_within([Candidate(small, 1), Candidate(large, 1)], bound, equal=True)
    assert (modest.max(), wanted.max()) == (1, 3)


def test_alphas_weigh_the_errors():
    spectrum = decompose(np.random.default_rng(0).standard_normal((8, 4, 3, 3)))
    bound = 2 * 4 * (9 + 8) * 2
    first, second = ranks_within(
        [Candidate(spectrum, 1, np.full(4, 100.0)), Candidate(spectrum, 1, np.full(4, 0.01))], bound, equal=True
    )
    assert (first.max(), second.max()) == (3, 1)


@pytest.mark.parametrize("equal", [False, True])
def test_where_dense_macs_do_every_weight_stays_dense(equal):
    candidates = network(0)
    assert ranks_within(candidates, sum(macs_of(each, None) for each in candidates), equal=equal) == [None] * 3


@pytest.mark.parametrize("equal", [False, True])
def test_a_weight_of_low_rank_is_kept_exactly_and_not_dense(equal):
    random = np.random.default_rng(0)
    low = np.einsum("mc,ck->mck", random.standard_normal((16, 4)), random.standard_normal((4, 9))).reshape(16, 4, 3, 3)
    candidate = Candidate(decompose(low), 1)
    [ranks] = ranks_within([candidate], macs_of(candidate, None), equal=equal)
    assert ranks.tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("equal", [False, True])
def test_a_weight_of_zeros_costs_nothing(equal):
    dead = Candidate(decompose(np.zeros((8, 4, 3, 3))), 1)
    [ranks] = ranks_within([dead], 0, equal=equal)
    assert ranks.tolist() == [0, 0, 0, 0]


def test_a_weight_that_never_runs_stays_dense():
    assert ranks_within([Candidate(network(0)[0].spectrum, 0)], 0) == [None]


def test_what_cannot_be_met_is_refused():
    with pytest.raises(ValueError, match="more than the budget"):
        ranks_within(network(0), 1)


def test_without_weights_there_is_nothing_to_choose():
    assert ranks_within([], 10) == []


def test_unequal_ranks_go_to_the_channels_that_need_them():
    squares = np.zeros((8, 4))
    squares[0] = 5.0
    squares[1:, 0] = 1e-3
    unused = np.zeros((8, 4, 2, 2))
    spectrum = Spectrum(weight=np.zeros((16, 8, 2, 2)), squares=squares, filters=unused, directions=unused)
    [ranks] = ranks_within([Candidate(spectrum, 1)], 4 * (4 + 16))
    assert ranks.tolist() == [4, 0, 0, 0, 0, 0, 0, 0]
