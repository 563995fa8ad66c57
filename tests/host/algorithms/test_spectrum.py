import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdws.algorithms.spectrum import SpectrumError, decompose

SHAPES = [(8, 5, 3, 3), (4, 6, 3, 3), (16, 3, 5, 3), (1, 2, 7, 7), (20, 1, 1, 3), (600, 40, 3, 3)]


def weight_of(shape, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def dense(factors, shape):
    """The weight (M, C, Kh, Kw) that the two convolutions amount to (Property 1)."""
    weight = np.zeros(shape)
    for component, channel in enumerate(factors.channels):
        weight[:, channel] += factors.pointwise[:, component, None, None] * factors.depthwise[component]
    return weight


def submatrix(weight, channel):
    return weight[:, channel].reshape(len(weight), -1).astype(np.float64)


@pytest.mark.parametrize("shape", SHAPES)
def test_singular_values_are_those_of_each_channel(shape):
    weight = weight_of(shape)
    values = decompose(weight).singular_values
    assert values.shape == (shape[1], min(shape[0], shape[2] * shape[3]))
    for channel in range(shape[1]):
        expected = np.linalg.svd(submatrix(weight, channel), compute_uv=False)
        np.testing.assert_allclose(values[channel], expected, rtol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_factors_at_full_rank_are_the_weight(shape):
    weight = weight_of(shape)
    spectrum = decompose(weight)
    factors = spectrum.factors(np.full(shape[1], spectrum.squares.shape[1]))
    np.testing.assert_allclose(dense(factors, shape), weight, atol=3e-6)


@given(st.data())
@settings(deadline=None, max_examples=40)
def test_truncation_is_the_best_approximation_of_its_rank(data):
    M, C, Kh, Kw = (data.draw(st.integers(1, top)) for top in (6, 4, 3, 3))
    weight = weight_of((M, C, Kh, Kw), seed=data.draw(st.integers(0, 99)), dtype=np.float64)
    ranks = data.draw(st.lists(st.integers(0, min(M, Kh * Kw)), min_size=C, max_size=C))
    factors = decompose(weight).factors(np.array(ranks))
    assert factors.channels.tolist() == [c for c, rank in enumerate(ranks) for _ in range(rank)]
    approximation = dense(factors, weight.shape)
    for channel, rank in enumerate(ranks):
        values = np.linalg.svd(submatrix(weight, channel), compute_uv=False)
        error = np.sum((submatrix(weight, channel) - submatrix(approximation, channel)) ** 2)
        np.testing.assert_allclose(error, np.sum(values[rank:] ** 2), atol=1e-12)


def test_factors_keep_the_dtype_of_the_weight():
    for dtype in (np.float32, np.float64):
        factors = decompose(weight_of((4, 2, 3, 3), dtype=dtype)).factors(np.array([1, 2]))
        assert factors.depthwise.dtype == factors.pointwise.dtype == dtype


def test_residues_of_a_float32_product_count_as_zero():
    rng = np.random.default_rng(1)
    left = rng.standard_normal((12, 64, 3)).astype(np.float32)
    right = rng.standard_normal((12, 3, 9)).astype(np.float32)
    weight = (left @ right).transpose(1, 0, 2).reshape(64, 12, 3, 3)
    assert np.linalg.matrix_rank(submatrix(weight, 0), tol=0) > 3, "the product must have residues"
    assert decompose(weight).numerical_ranks.tolist() == [3] * 12


def test_small_but_real_singular_values_are_kept():
    rng = np.random.default_rng(2)
    left, _ = np.linalg.qr(rng.standard_normal((16, 9)))
    right, _ = np.linalg.qr(rng.standard_normal((9, 9)))
    values = 10.0 ** -np.arange(0, 4.5, 0.5)
    weight = (left * values @ right.T).reshape(16, 1, 3, 3)
    np.testing.assert_allclose(decompose(weight).singular_values[0], values, rtol=1e-6)


def test_rank_is_relative_to_the_channel():
    weight = weight_of((8, 3, 3, 3))
    weight[:, 1] *= 1e-12
    assert decompose(weight).numerical_ranks.tolist() == [8, 8, 8]


def test_dead_channel_has_rank_zero():
    weight = weight_of((8, 3, 3, 3))
    weight[:, 1] = 0
    spectrum = decompose(weight)
    assert spectrum.numerical_ranks.tolist() == [8, 0, 8]
    factors = spectrum.factors(spectrum.numerical_ranks)
    assert set(factors.channels) == {0, 2}
    np.testing.assert_allclose(dense(factors, weight.shape), weight, atol=1e-5)


def test_rank_beyond_the_numerical_one_is_allowed_and_exact():
    weight = np.zeros((4, 2, 3, 3), dtype=np.float32)
    weight[:, 0, 1, 1] = 1
    factors = decompose(weight).factors(np.array([3, 2]))
    np.testing.assert_allclose(dense(factors, weight.shape), weight, atol=1e-6)


def test_half_precision_is_widened():
    weight = weight_of((6, 4, 3, 3), dtype=np.float16)
    spectrum = decompose(weight)
    assert spectrum.weight.dtype == np.float32
    np.testing.assert_array_equal(spectrum.squares, decompose(weight.astype(np.float32)).squares)


def test_views_are_taken_as_they_are():
    weight = weight_of((3, 3, 5, 6)).transpose(3, 2, 1, 0)
    np.testing.assert_array_equal(decompose(weight).squares, decompose(np.ascontiguousarray(weight)).squares)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(value):
    weight = weight_of((8, 3, 3, 3))
    weight[2, 1, 0, 0] = value
    with pytest.raises(SpectrumError, match="NaN"):
        decompose(weight)


@pytest.mark.parametrize("shape", [(3, 3), (0, 3, 3, 3), (4, 3, 3)])
def test_shapes_other_than_a_weight_are_refused(shape):
    with pytest.raises(SpectrumError, match="shape"):
        decompose(np.zeros(shape))


def test_weighted_scales_each_channel():
    spectrum = decompose(weight_of((8, 3, 3, 3)))
    alphas = [2.0, 0.0, 0.5]
    np.testing.assert_array_equal(spectrum.weighted(alphas), spectrum.squares * np.array(alphas)[:, None])
    np.testing.assert_array_equal(spectrum.weighted(), spectrum.squares)


@pytest.mark.parametrize("alphas", [[1.0, 1.0], [1.0, -1.0, 1.0], [1.0, np.nan, 1.0], [1.0, np.inf, 1.0], 1.0])
def test_alphas_that_make_no_sense_are_refused(alphas):
    with pytest.raises(ValueError, match="alphas"):
        decompose(weight_of((8, 3, 3, 3))).weighted(alphas)


@pytest.mark.parametrize(
    ("ranks", "message"),
    [
        ([1, 1], "3 integers"),
        ([1, 9, 1], r"ranks\[1\]"),
        ([1, 1, -1], r"ranks\[2\]"),
        ([1.0, 1.0, 1.0], "integers"),
    ],
)
def test_ranks_that_do_not_fit_are_refused(ranks, message):
    with pytest.raises(ValueError, match=message):
        decompose(weight_of((8, 3, 3, 3))).factors(ranks)


def data_of(shape, seed):
    """Second moments of patches and of output errors, of full rank."""
    M, C, Kh, Kw = shape
    random = np.random.default_rng(seed)
    patches = random.standard_normal((C, Kh * Kw, 3 * Kh * Kw))
    errors = random.standard_normal((M, 3 * M))
    return patches @ patches.transpose(0, 2, 1), errors @ errors.T


def error_on_data(difference, power, H):
    """E[(difference x)^T H (difference x)] of one channel, difference (M, Kh*Kw)."""
    return np.trace(H @ difference @ power @ difference.T)


@given(st.data())
@settings(deadline=None, max_examples=40)
def test_with_data_truncation_is_the_best_on_what_the_layer_sees(data):
    """The dropped squares are the error of the output, and no other approximation of that rank does better."""
    M, C, Kh, Kw = (data.draw(st.integers(1, top)) for top in (5, 3, 3, 2))
    seed = data.draw(st.integers(0, 99))
    weight = weight_of((M, C, Kh, Kw), seed=seed, dtype=np.float64)
    inputs, outputs = data_of(weight.shape, seed)
    spectrum = decompose(weight, inputs=inputs, outputs=outputs)
    ranks = np.array(data.draw(st.lists(st.integers(0, min(M, Kh * Kw)), min_size=C, max_size=C)))
    approximation = dense(spectrum.factors(ranks), weight.shape)
    random = np.random.default_rng(seed)
    for channel, rank in enumerate(ranks):
        W, power = submatrix(weight, channel), inputs[channel]
        error = error_on_data(W - submatrix(approximation, channel), power, outputs)
        np.testing.assert_allclose(error, np.sum(spectrum.squares[channel, rank:]), rtol=1e-6, atol=1e-6)
        left, right = random.standard_normal((M, rank)), random.standard_normal((rank, Kh * Kw))
        for _ in range(30):  # alternating least squares reaches the best approximation of that rank
            if rank:
                left = W @ power @ right.T @ np.linalg.pinv(right @ power @ right.T)
                right = np.linalg.pinv(left.T @ outputs @ left) @ left.T @ outputs @ W
        assert error <= error_on_data(W - left @ right, power, outputs) * (1 + 1e-6) + 1e-6


@pytest.mark.parametrize("shape", SHAPES)
def test_with_data_full_rank_is_still_the_weight(shape):
    weight = weight_of(shape)
    inputs, outputs = data_of(shape, 1)
    spectrum = decompose(weight, inputs=inputs, outputs=outputs)
    np.testing.assert_allclose(np.linalg.norm(spectrum.filters, axis=(2, 3)), 1.0)
    if shape[0] >= shape[2] * shape[3]:  # otherwise the weight has directions that no component has
        factors = spectrum.factors(np.full(shape[1], spectrum.squares.shape[1]))
        np.testing.assert_allclose(dense(factors, shape), weight, atol=1e-4)


def test_directions_and_channels_that_no_input_has():
    weight = weight_of((8, 3, 3, 3), dtype=np.float64)
    inputs = np.zeros((3, 9, 9))
    inputs[0] = np.eye(9)
    inputs[1, 4, 4] = 1.0  # only the middle of the patch is ever lit
    spectrum = decompose(weight, inputs=inputs)
    assert spectrum.numerical_ranks[0] == 8
    assert spectrum.squares[1, 0] == pytest.approx(np.sum(weight[:, 1, 1, 1] ** 2), rel=1e-4)
    assert spectrum.squares[1, 1:].max() < 1e-4
    assert spectrum.numerical_ranks[2] == 0
    assert np.isfinite(spectrum.filters).all()


def test_the_identity_as_data_changes_nothing():
    weight = weight_of((8, 5, 3, 3), dtype=np.float64)
    plain, told = decompose(weight), decompose(weight, inputs=np.tile(np.eye(9), (5, 1, 1)), outputs=np.eye(8))
    np.testing.assert_allclose(told.squares, plain.squares, rtol=1e-9)
    np.testing.assert_allclose(np.abs(told.filters), np.abs(plain.filters), atol=1e-6)


@pytest.mark.parametrize("name", ["inputs", "outputs"])
@pytest.mark.parametrize("moments", [np.zeros((2, 2)), np.full((5, 9, 9), np.nan), np.full((8, 8), np.inf)])
def test_data_that_do_not_fit(name, moments):
    with pytest.raises(SpectrumError, match=name):
        decompose(weight_of((8, 5, 3, 3)), **{name: moments})
