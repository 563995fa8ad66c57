"""The closed forms against brute force on samples."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdws.algorithms.refit import (
    RIDGES,
    Fit,
    Moments,
    Projection,
    best_dense,
    choose_ridge,
    refit_depthwise,
)

M, C, TAPS = 4, 3, 5


def moments_of(x, y):
    """Moments of patches x (n, C*TAPS) and targets y (n, M)."""
    n = len(x)
    return Moments(xx=x.T @ x / n, yx=y.T @ x / n, yy=float((y**2).sum() / n), x=x.mean(0), y=y.mean(0), count=n)


def sample(seed, n=400, noise=0.1):
    """Correlated patches of non-zero mean, and targets that are nearly linear in them."""
    random = np.random.default_rng(seed)
    mixing = random.standard_normal((C * TAPS, C * TAPS))
    x = random.standard_normal((n, C * TAPS)) @ mixing + random.standard_normal(C * TAPS)
    y = x @ random.standard_normal((C * TAPS, M)) + noise * random.standard_normal((n, M)) + 3
    return x, y


def start(seed, ranks=(2, 0, 3)):
    random = np.random.default_rng(seed)
    channels = np.repeat(np.arange(C), ranks)
    depthwise = random.standard_normal((len(channels), TAPS))
    depthwise /= np.linalg.norm(depthwise, axis=1, keepdims=True)
    return Fit(channels, depthwise, random.standard_normal((M, len(channels))))


def spread(fit):
    filters = np.zeros((len(fit.channels), C, TAPS))
    filters[np.arange(len(fit.channels)), fit.channels] = fit.depthwise
    return filters.reshape(len(fit.channels), -1)


def squared_error(fit, bias, x, y):
    """Mean of ||y - b - P D x||^2."""
    return float(((y - bias - x @ spread(fit).T @ fit.pointwise.T) ** 2).sum(1).mean())


def variance(y):
    return float(((y - y.mean(0)) ** 2).sum(1).mean())


@given(st.integers(0, 50))
@settings(deadline=None, max_examples=20)
def test_the_relative_error_is_that_of_the_samples(seed):
    x, y = sample(seed)
    fit, moments = start(seed), moments_of(x, y)
    found = Projection.of(fit, moments.centred()).relative_error(fit.pointwise)
    assert found == pytest.approx(squared_error(fit, fit.bias(moments), x, y) / variance(y), rel=1e-6)


@given(st.integers(0, 50))
@settings(deadline=None, max_examples=20)
def test_the_pointwise_weights_and_the_bias_are_those_of_least_squares(seed):
    x, y = sample(seed)
    fit, moments = start(seed), moments_of(x, y)
    pointwise = Projection.of(fit, moments.centred()).best_pointwise(ridge=0.0)
    outputs = np.hstack([x @ spread(fit).T, np.ones((len(x), 1))])
    expected, *_ = np.linalg.lstsq(outputs, y, rcond=None)
    np.testing.assert_allclose(pointwise, expected[:-1].T, rtol=1e-6, atol=1e-8)
    bias = Fit(fit.channels, fit.depthwise, pointwise).bias(moments)
    np.testing.assert_allclose(bias, expected[-1], rtol=1e-6, atol=1e-6)


@given(st.integers(0, 50))
@settings(deadline=None, max_examples=20)
def test_going_through_the_filters_never_raises_the_error(seed):
    x, y = sample(seed)
    fit, moments = start(seed), moments_of(x, y).centred()
    before = Projection.of(fit, moments).relative_error(fit.pointwise)
    refitted = refit_depthwise(fit, moments, ridge=0.0)
    after = Projection.of(refitted, moments).relative_error(refitted.pointwise)
    assert after <= before * (1 + 1e-9)
    np.testing.assert_allclose(np.linalg.norm(refitted.depthwise, axis=1), 1.0)


def test_a_single_filter_is_the_best_for_its_pointwise_weights():
    x, y = sample(3)
    x, y = x - x.mean(0), y - y.mean(0)
    fit = start(3, ranks=(0, 1, 0))
    refitted = refit_depthwise(fit, moments_of(x, y), ridge=0.0)
    # y ~ p (f . x_c): least squares for f with p fixed.
    p, patches = fit.pointwise[:, 0], x[:, TAPS : 2 * TAPS]
    expected, *_ = np.linalg.lstsq(np.kron(patches, p[:, None]), y.ravel(), rcond=None)
    np.testing.assert_allclose(refitted.pointwise @ refitted.depthwise, np.outer(p, expected), rtol=1e-6)


def test_alternating_least_squares_recovers_exact_factors():
    random = np.random.default_rng(0)
    truth = start(1, ranks=(2, 1, 1))
    x = random.standard_normal((2000, C * TAPS)) @ random.standard_normal((C * TAPS, C * TAPS))
    y = x @ spread(truth).T @ truth.pointwise.T
    moments, fit = moments_of(x, y).centred(), start(2, ranks=(2, 1, 1))
    for _ in range(200):
        projection = Projection.of(fit, moments)
        fit = refit_depthwise(Fit(fit.channels, fit.depthwise, projection.best_pointwise(1e-12)), moments, 1e-12)
    assert Projection.of(fit, moments).relative_error(fit.pointwise) < 1e-6


def test_moments_are_pooled_by_their_counts():
    x, y = sample(5)
    pooled = moments_of(x[:100], y[:100]).pooled(moments_of(x[100:], y[100:]))
    whole = moments_of(x, y)
    for name in ("xx", "yx", "yy", "x", "y", "count"):
        np.testing.assert_allclose(getattr(pooled, name), getattr(whole, name), rtol=1e-9)


def test_blocks_of_the_channels():
    x, y = sample(6)
    moments = moments_of(x, y)
    for channel, block in enumerate(moments.of_channels(C)):
        patches = x[:, channel * TAPS : (channel + 1) * TAPS]
        np.testing.assert_allclose(block, patches.T @ patches / len(x))


def test_few_samples_ask_for_a_larger_ridge():
    fit = start(0, ranks=(5, 5, 5))
    held_out = Projection.of(fit, moments_of(*sample(1, n=4000, noise=8)).centred())

    def chosen(n):
        return choose_ridge(
            Projection.of(fit, moments_of(*(part[:n] for part in sample(1, 4000, 8))).centred()), held_out
        )

    assert chosen(16) > chosen(4000)
    assert chosen(16) in RIDGES


def test_the_best_dense_weight_keeps_to_the_old_one_where_there_are_no_data():
    random = np.random.default_rng(0)
    old = random.standard_normal((M, C * TAPS))
    x = np.zeros((50, C * TAPS))
    x[:, 0] = random.standard_normal(50)
    y = x @ (old.T + 1.0)
    found = best_dense(old, moments_of(x, y).centred(), 1e-9)
    np.testing.assert_allclose(found[:, 0], old[:, 0] + 1, rtol=1e-6)
    np.testing.assert_allclose(found[:, 1:], old[:, 1:])


def test_inputs_that_never_vary():
    x, y = np.ones((20, C * TAPS)), np.random.default_rng(0).standard_normal((20, M))
    fit, moments = start(0), moments_of(x, y)
    projection = Projection.of(fit, moments.centred())
    pointwise = projection.best_pointwise(1e-4)
    np.testing.assert_allclose(pointwise, 0, atol=1e-9)
    np.testing.assert_allclose(Fit(fit.channels, fit.depthwise, pointwise).bias(moments), y.mean(0), atol=1e-9)
    np.testing.assert_array_equal(best_dense(np.ones((M, C * TAPS)), moments.centred(), 1e-4), 1)


def test_targets_that_never_vary():
    x, _ = sample(0)
    projection = Projection.of(start(0), moments_of(x, np.zeros((len(x), M))).centred())
    assert projection.relative_error(np.zeros((M, 5))) == 0
