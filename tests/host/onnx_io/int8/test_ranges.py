"""Ranges: what each method keeps of the values that it saw."""

from __future__ import annotations

import numpy as np
import pytest

from gdws.onnx_io.int8.insertion import Grid
from gdws.onnx_io.int8.ranges import RANGE_METHODS, Range, Values, choose


def values_of(*arrays: np.ndarray) -> Values:
    values = Values()
    for see in (Values.widen, Values.count):
        for array in arrays:
            see(values, array.astype(np.float32))
    return values


def normal(count: int = 40_000) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(count)


def test_min_max_keeps_everything_and_zero():
    assert choose(values_of(normal()), "min-max") == Range(
        normal().astype(np.float32).min(), normal().astype(np.float32).max()
    )
    assert choose(values_of(np.asarray([2.0, 3.0])), "min-max") == Range(0.0, 3.0)


def test_the_percentile_leaves_an_outlier_out():
    kept = choose(values_of(normal(), np.asarray([80.0])), "percentile")
    assert 3 < kept.high < 5
    assert -5 < kept.low < -3


def test_the_range_of_least_squared_error_is_as_good_as_any():
    data = np.random.default_rng(1).laplace(size=40_000).astype(np.float32)
    values = values_of(data)

    def squared_error(kept: Range) -> float:
        step = (kept.high - kept.low) / 255
        return float(((data - (np.round(data / step) * step).clip(kept.low, kept.high)) ** 2).mean())

    best = squared_error(choose(values, "mse"))
    assert all(best <= 1.02 * squared_error(choose(values, method)) for method in RANGE_METHODS)


@pytest.mark.parametrize("size", [1e-42, 3e38])
@pytest.mark.filterwarnings("error")
def test_values_of_any_size_are_counted_where_they_are(size):
    np.testing.assert_array_equal(values_of(size * np.asarray([-1.0, 0, 1])).counts.nonzero()[0], [0, 1024, 2047])


def test_batches_are_counted_as_if_they_were_one():
    whole, parts = values_of(normal()), values_of(*np.split(normal(), 4))
    assert (whole.low, whole.high) == (parts.low, parts.high)
    assert (whole.counts == parts.counts).all()


@pytest.mark.parametrize("method", RANGE_METHODS)
def test_constants_have_a_range(method):
    assert choose(values_of(np.zeros(8)), method) == Range(0.0, 0.0)
    kept = choose(values_of(np.full(8, 2.0)), method)
    assert kept.low == 0
    assert kept.high > 0


@pytest.mark.parametrize("scheme", ["asymmetric", "symmetric"])
@pytest.mark.parametrize("kept", [Range(-1.0, 3.0), Range(0.0, 2.0), Range(-4.0, 0.0), Range(0.0, 0.0)])
def test_a_grid_holds_zero_exactly_and_covers_the_range_to_half_a_step(scheme, kept):
    grid = Grid.over(kept, scheme)
    limits = np.iinfo(grid.zero_point.dtype)
    least, greatest = (float(grid.scale) * (limit - float(grid.zero_point)) for limit in (limits.min, limits.max))
    assert least <= kept.low + grid.scale / 2
    assert greatest >= kept.high - grid.scale / 2
    assert (scheme == "symmetric") <= (grid.zero_point == 0)
