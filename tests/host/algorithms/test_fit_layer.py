"""The fit of one layer from moments, against the samples that the moments are of."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdws.algorithms.fit_layer import LayerProblem
from gdws.algorithms.refit import Metric, Moments

SHAPE = M, C, KH, KW = 4, 3, 2, 2


def moments_of(x, y):
    n = len(x)
    return Moments(xx=x.T @ x / n, yx=y.T @ x / n, yy=float((y**2).sum() / n), x=x.mean(0), y=y.mean(0), count=n)


def case(seed, *, noise=0.0, outputs=None, n=300):
    """Correlated patches of non-zero mean (n, C*KH*KW), targets (n, M), the problem, and the weights of errors."""
    random = np.random.default_rng(seed)
    width = C * KH * KW
    x = random.standard_normal((n, width)) @ random.standard_normal((width, width)) + 1
    weight = random.standard_normal((M, width))
    y = x @ weight.T + noise * random.standard_normal((n, M))
    if outputs is None:
        half = random.standard_normal((M, M))
        outputs = half @ half.T
    problem = LayerProblem.of(weight, SHAPE, (moments_of(x[::2], y[::2]), moments_of(x[1::2], y[1::2])), outputs)
    return x, y, problem, outputs


def errors_of(fitted, x, y):
    """The errors (n, M) of the fitted layer."""
    found = fitted.factors
    filters = np.zeros((len(found.channels), C, KH * KW))
    filters[np.arange(len(found.channels)), found.channels] = found.depthwise.reshape(-1, KH * KW)
    return y - x @ filters.reshape(len(filters), -1).T @ found.pointwise.T - fitted.bias


@given(st.integers(0, 1000))
@settings(max_examples=20)
def test_the_figures_are_those_of_the_samples(seed):
    x, y, problem, outputs = case(seed)
    fitted = problem.fit([2, 1, 3], sweeps=2)
    left = errors_of(fitted, x, y)
    assert left.mean(0) == pytest.approx(0, abs=1e-8)
    assert fitted.error == pytest.approx((left**2).sum() / ((y - y.mean(0)) ** 2).sum(), rel=1e-6)
    assert fitted.change == pytest.approx(np.einsum("nm,mk,nk->", left, outputs, left) / len(left), rel=1e-6)


@given(st.integers(0, 1000))
@settings(max_examples=20)
def test_more_components_move_the_decisions_less(seed):
    _, _, problem, _ = case(seed)
    changes = [problem.fit([rank] * C, sweeps=2).change for rank in (1, 2, 3, 4)]
    assert changes == sorted(changes, reverse=True)
    assert changes[-1] < 1e-3 * changes[0]


def test_filters_are_found_for_the_outputs_that_matter():
    """Where one output alone matters, rank 1 serves that output exactly, at the expense of the others."""
    outputs = np.diag([1.0, 0.0, 0.0, 0.0])
    x, y, problem, _ = case(0, outputs=outputs)
    fair = case(0, outputs=np.eye(M))[2].fit([1] * C, sweeps=3)
    fitted = problem.fit([1] * C, sweeps=3)
    first, others = ((errors_of(each, x, y)[:, 0] ** 2).mean() for each in (fitted, fair))
    assert first < others / 100
    assert fitted.error > fair.error


def test_the_metric_is_a_root_and_its_inverse():
    half = np.random.default_rng(0).standard_normal((5, 5))
    metric = Metric.of(half @ half.T + np.eye(5))
    np.testing.assert_allclose(metric.root @ metric.root, half @ half.T + np.eye(5), atol=1e-10)
    np.testing.assert_allclose(metric.root @ metric.inverse, np.eye(5), atol=1e-10)


def test_outputs_that_do_not_matter_at_all_count_alike():
    metric = Metric.of(np.zeros((3, 3)))
    np.testing.assert_array_equal(metric.root, np.eye(3))
    np.testing.assert_array_equal(metric.inverse, np.eye(3))


@given(st.integers(0, 1000))
@settings(max_examples=20)
def test_sweeps_err_less_than_none(seed):
    _, _, problem, _ = case(seed, noise=0.5)
    none, *some = [problem.fit([1, 2, 1], sweeps=sweeps).change for sweeps in (0, 1, 4, 20)]
    assert max(some) <= none


def test_many_sweeps_err_less_than_one():
    """They go on ahead of themselves, and may end up a little behind; as a rule they are well ahead."""
    problems = [case(seed, noise=0.5)[2] for seed in range(40)]
    gains = [problem.fit([1, 2, 1], sweeps=20).change / problem.fit([1, 2, 1], sweeps=1).change for problem in problems]
    assert max(gains) <= 1.03
    assert np.median(gains) <= 0.85
