import math
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gdws.algorithms.allocate import (
    components_for_mean_rank,
    equal_lego,
    equal_mego,
    equal_network_lego,
    equal_rank,
    lego,
    mego,
    network_lego,
)
from gdws.algorithms.cost import weighted_error
from gdws.algorithms.spectrum import Spectrum, decompose

# Squares are multiples of 1/8 below 4, so that all sums are exact and ties are common.
EIGHTHS = st.integers(0, 31).map(lambda n: n / 8)


def spectrum_of(squares):
    """A spectrum with these squared singular values (C, R); the allocations look at nothing else."""
    squares = np.array(squares, dtype=np.float64)
    channels, components = squares.shape
    unused = np.zeros((channels, components, 1, components))
    return Spectrum(
        weight=np.zeros((components, channels, 1, components)), squares=squares, filters=unused, directions=unused
    )


@st.composite
def spectra(draw):
    channels, components = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    row = st.lists(EIGHTHS, min_size=components, max_size=components).map(lambda r: sorted(r, reverse=True))
    return spectrum_of(draw(st.lists(row, min_size=channels, max_size=channels)))


@st.composite
def cases(draw):
    spectrum = draw(spectra())
    channels = len(spectrum.squares)
    alphas = draw(st.none() | st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0]), min_size=channels, max_size=channels))
    return spectrum, alphas


def every_choice(spectrum):
    channels, components = spectrum.squares.shape
    return [np.array(choice) for choice in product(range(components + 1), repeat=channels)]


@given(cases(), st.integers(0, 64).map(lambda n: n / 8))
@settings(deadline=None, max_examples=150)
def test_lego_is_optimal(case, beta):
    spectrum, alphas = case
    ranks = lego(spectrum, beta, alphas)
    assert weighted_error(spectrum, ranks, alphas) <= beta
    best = min(g.sum() for g in every_choice(spectrum) if weighted_error(spectrum, g, alphas) <= beta)
    assert ranks.sum() == best


@given(cases(), st.integers(0, 14))
@settings(deadline=None, max_examples=150)
def test_mego_is_optimal(case, gamma):
    spectrum, alphas = case
    ranks = mego(spectrum, gamma, alphas)
    assert ranks.sum() <= gamma
    best = min(weighted_error(spectrum, g, alphas) for g in every_choice(spectrum) if g.sum() <= gamma)
    assert weighted_error(spectrum, ranks, alphas) == best


@given(cases(), st.integers(0, 14))
@settings(deadline=None, max_examples=100)
def test_both_agree_where_their_constraints_meet(case, gamma):
    spectrum, alphas = case
    by_complexity = mego(spectrum, gamma, alphas)
    by_error = lego(spectrum, weighted_error(spectrum, by_complexity, alphas), alphas)
    assert by_error.tolist() == by_complexity.tolist()


@given(st.integers(0, 10_000), st.integers(0, 40))
@settings(deadline=None, max_examples=60)
def test_both_agree_on_values_whose_sums_are_rounded(seed, gamma):
    rng = np.random.default_rng(seed)
    spectrum = decompose(rng.standard_normal((5, 8, 3, 3)))
    alphas = rng.uniform(0, 1e-3, 8)
    by_complexity = mego(spectrum, gamma, alphas)
    by_error = lego(spectrum, weighted_error(spectrum, by_complexity, alphas), alphas)
    assert by_error.tolist() == by_complexity.tolist()


@given(cases())
@settings(deadline=None, max_examples=60)
def test_error_falls_and_ranks_are_nested_as_the_budget_grows(case):
    spectrum, alphas = case
    plans = [mego(spectrum, gamma, alphas) for gamma in range(spectrum.squares.size + 1)]
    errors = [weighted_error(spectrum, ranks, alphas) for ranks in plans]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] == 0
    assert all((smaller <= larger).all() for smaller, larger in pairwise(plans))


def test_a_bound_equal_to_the_error_is_met():
    spectrum = spectrum_of([[4, 1], [2, 1]])
    assert lego(spectrum, 2).tolist() == [1, 1]
    assert lego(spectrum, np.nextafter(2, 0)).tolist() == [2, 1]
    assert lego(spectrum, 8).tolist() == [0, 0]


def test_a_bound_equal_to_a_rounded_sum_is_met():
    squares = np.sort(np.random.default_rng(3).uniform(0, 1, 40))[::-1]
    spectrum = spectrum_of(squares[:, None])
    for count in range(1, 41):
        assert lego(spectrum, math.fsum(squares[-count:])).sum() == 40 - count


def test_ties_are_kept_by_channel_then_by_index():
    spectrum = spectrum_of([[1, 1], [1, 1], [1, 1]])
    assert [mego(spectrum, gamma).tolist() for gamma in range(4)] == [
        [0, 0, 0],
        [1, 0, 0],
        [2, 0, 0],
        [2, 1, 0],
    ]
    assert lego(spectrum, 3).tolist() == [2, 1, 0]


def test_alphas_decide_between_channels():
    spectrum = spectrum_of([[4, 3], [2, 1]])
    assert mego(spectrum, 2).tolist() == [2, 0]
    assert mego(spectrum, 2, [0.1, 1.0]).tolist() == [0, 2]


def test_channels_of_weight_zero_are_dropped_whole():
    spectrum = spectrum_of([[4, 3], [2, 1]])
    assert lego(spectrum, 0, [0, 1]).tolist() == [0, 2]
    assert mego(spectrum, 4, [0, 1]).tolist() == [0, 2]


def test_no_error_allowed_drops_exact_zeros_only():
    assert lego(spectrum_of([[4, 0], [0, 0], [1e-30, 0]]), 0).tolist() == [1, 0, 1]


def test_mego_spends_nothing_where_nothing_is_gained():
    assert mego(spectrum_of([[4, 0], [2, 0]]), 100).tolist() == [1, 1]


@given(cases(), st.integers(0, 64).map(lambda n: n / 8))
@settings(deadline=None, max_examples=100)
def test_equal_lego_is_the_least_equal_rank(case, beta):
    spectrum, alphas = case
    channels, components = spectrum.squares.shape
    meeting = [r for r in range(components + 1) if weighted_error(spectrum, np.full(channels, r), alphas) <= beta]
    assert equal_lego(spectrum, beta, alphas).tolist() == [min(meeting)] * channels


@given(spectra(), st.integers(0, 14))
@settings(deadline=None, max_examples=100)
def test_equal_mego_is_the_greatest_useful_equal_rank(spectrum, gamma):
    channels = len(spectrum.squares)
    ranks = equal_mego(spectrum, gamma)
    assert len(set(ranks.tolist())) == 1
    assert ranks.sum() <= gamma
    useful = int(spectrum.numerical_ranks.max())
    assert ranks[0] == useful or (ranks[0] < useful and (ranks[0] + 1) * channels > gamma)


@pytest.mark.parametrize(
    ("mean_rank", "channels", "gather", "equal"),
    [(0, 8, 0, 0), (1, 8, 8, 8), (2.5, 3, 8, 9), (2.4, 5, 12, 10), (0.3, 10, 3, 10), (0.05, 10, 1, 10)],
)
def test_mean_rank_is_rounded(mean_rank, channels, gather, equal):
    assert components_for_mean_rank(mean_rank, channels) == gather
    assert components_for_mean_rank(mean_rank, channels, equal=True) == equal


@pytest.mark.parametrize("bound", [-1, float("nan"), float("inf")])
@pytest.mark.parametrize("allocate", [lego, mego, equal_lego, equal_mego])
def test_bounds_that_make_no_sense_are_refused(allocate, bound):
    with pytest.raises(ValueError, match="expected a finite number"):
        allocate(spectrum_of([[1.0]]), bound)


@given(st.integers(0, 50))
@settings(deadline=None, max_examples=25)
def test_lego_on_real_spectra_meets_its_bound_and_no_smaller_sum_does(seed):
    rng = np.random.default_rng(seed)
    spectrum = decompose(rng.standard_normal((3, 3, 2, 2)))
    beta = rng.uniform(0, spectrum.squares.sum())
    ranks = lego(spectrum, beta)
    assume(ranks.sum() > 0)
    assert weighted_error(spectrum, ranks) <= beta
    assert all(weighted_error(spectrum, g) > beta for g in every_choice(spectrum) if g.sum() == ranks.sum() - 1)


@st.composite
def networks(draw):
    layers = draw(st.lists(cases(), min_size=1, max_size=3))
    while sum(len(spectrum.squares) for spectrum, _ in layers) > 6:  # the exhaustive search grows fast
        layers.pop()
    assume(layers)
    return [spectrum for spectrum, _ in layers], [alphas for _, alphas in layers]


def total_error(spectra, ranks, alphas):
    return math.fsum(weighted_error(*layer) for layer in zip(spectra, ranks, alphas, strict=True))


@given(networks(), st.integers(0, 96).map(lambda n: n / 8))
@settings(deadline=None, max_examples=80)
def test_network_lego_is_optimal(network, budget):
    spectra, alphas = network
    ranks = network_lego(spectra, budget, alphas)
    assert total_error(spectra, ranks, alphas) <= budget
    fewest = min(
        sum(int(g.sum()) for g in choice)
        for choice in product(*(every_choice(spectrum) for spectrum in spectra))
        if total_error(spectra, choice, alphas) <= budget
    )
    assert sum(int(g.sum()) for g in ranks) == fewest


@given(networks(), st.integers(0, 96).map(lambda n: n / 8))
@settings(deadline=None, max_examples=80)
def test_equal_network_lego_meets_its_budget_and_no_step_is_left(network, budget):
    spectra, alphas = network
    ranks = equal_network_lego(spectra, budget, alphas)
    assert total_error(spectra, ranks, alphas) <= budget
    for layer, g in enumerate(ranks):
        assert len(set(g.tolist())) == 1
        if g[0] > 0:
            smaller = [*ranks[:layer], g - 1, *ranks[layer + 1 :]]
            assert total_error(spectra, smaller, alphas) > budget


def test_a_network_gives_up_what_matters_least_anywhere():
    spectra = [spectrum_of([[4, 1], [2, 1]]), spectrum_of([[9, 0.5]])]
    assert [g.tolist() for g in network_lego(spectra, 2.5)] == [[1, 1], [1]]
    assert [g.tolist() for g in network_lego(spectra, 1.4)] == [[2, 2], [1]]
    assert [g.tolist() for g in network_lego(spectra, 0.5, [None, [100]])] == [[2, 2], [2]]
    assert [g.tolist() for g in network_lego(spectra, 100)] == [[0, 0], [0]]
    assert network_lego([], 1) == equal_network_lego([], 1) == []


def test_one_layer_is_a_network():
    spectrum = decompose(np.random.default_rng(0).standard_normal((4, 5, 3, 3)))
    for beta in (0, 0.5, 7.0, 1e9):
        assert network_lego([spectrum], beta)[0].tolist() == lego(spectrum, beta).tolist()
        assert equal_network_lego([spectrum], beta)[0].tolist() == equal_lego(spectrum, beta).tolist()


def test_an_equal_rank_stops_where_nothing_is_gained():
    spectrum = spectrum_of([[4, 1, 0], [2, 0, 0]])
    assert [equal_rank(spectrum, rank).tolist() for rank in range(4)] == [[0, 0], [1, 1], [2, 2], [2, 2]]


@pytest.mark.parametrize("bound", [-1, float("nan"), float("inf")])
@pytest.mark.parametrize("allocate", [network_lego, equal_network_lego])
def test_budgets_that_make_no_sense_are_refused(allocate, bound):
    with pytest.raises(ValueError, match="budget: expected a finite number"):
        allocate([spectrum_of([[1.0]])], bound)
