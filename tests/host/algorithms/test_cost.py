import math

import numpy as np
import pytest

from gdws.algorithms.cost import running_sums, weighted_error
from gdws.algorithms.spectrum import decompose
from gdws_contract.costs import dense_weights, gdws_weights, size_mib


def test_weights_of_dense_and_gdws_layers():
    assert dense_weights((64, 32, 3, 3)) == 64 * 32 * 9
    assert gdws_weights((64, 32, 3, 3), 40) == 40 * (9 + 64)
    assert gdws_weights((64, 32, 5, 3), 0) == 0


def test_lossless_costs_one_part_in_m_more_than_dense():
    dense, gdws = dense_weights((512, 256, 3, 3)), gdws_weights((512, 256, 3, 3), 9 * 256)
    assert gdws / dense == pytest.approx(1 + 9 / 512)


def test_size_is_the_papers_for_preact_resnet18():
    assert size_mib(11_172_170) == pytest.approx(42.62, abs=0.005)
    assert size_mib(1 << 20, bytes_per_parameter=2) == 2


def test_weighted_error_is_that_of_the_factors():
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((6, 5, 3, 3))
    alphas = rng.uniform(0, 2, 5)
    spectrum = decompose(weight)
    ranks = np.array([0, 1, 3, 6, 2])
    factors = spectrum.factors(ranks)
    approximation = np.zeros_like(weight)
    for component, channel in enumerate(factors.channels):
        approximation[:, channel] += factors.pointwise[:, component, None, None] * factors.depthwise[component]
    expected = np.sum(alphas * np.sum((weight - approximation) ** 2, axis=(0, 2, 3)))
    assert weighted_error(spectrum, ranks, alphas) == pytest.approx(expected, rel=1e-12)


def test_weighted_error_of_nothing_dropped_is_zero():
    spectrum = decompose(np.random.default_rng(0).standard_normal((4, 3, 3, 3)))
    assert weighted_error(spectrum, [4, 4, 4]) == 0


def test_running_sums_do_not_lose_small_terms():
    values = np.array([1.0] + [2.0**-54] * 64)
    assert running_sums(values)[-1] == math.fsum(values)
