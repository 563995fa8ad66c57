"""The spectrum of a convolution: the singular values of each input channel's sub-matrix.

A weight (M, C, Kh, Kw) is C sub-matrices W_c of shape (M, Kh*Kw) (Section 3.2 of the paper). A GDWS
convolution with channel distribution vector g is exactly a weight with rank(W_c) <= g_c, so these singular
values decide everything that follows.

The right singular vectors V_c are the eigenvectors of the small Gram matrix W_c^T W_c. The best
approximation of rank g is W_c V_g V_g^T: its depthwise filters are the columns of V_g and its pointwise
weights are W_c V_g. The left singular vectors are never needed.

**With data.** What counts is the error of the output on the inputs that the layer sees. Let x be the patch of
channel c under the filter, S = E[x x^T] its second moment (Kh*Kw, Kh*Kw), and H (M, M) a weight of output errors.
The error of an approximation Q of W_c is::

    E[((W_c - Q) x)^T H ((W_c - Q) x)] = || H^(1/2) (W_c - Q) S^(1/2) ||_F^2

Multiplying by the invertible H^(1/2) and S^(1/2) keeps every rank, so this is the paper's problem for the matrix
A = H^(1/2) W_c S^(1/2): its best approximation of rank g is A V_g V_g^T, with V the eigenvectors of
A^T A = S^(1/2) W_c^T H W_c S^(1/2) (Lemma 1), and Theorems 1 and 2 hold with the singular values of A. Mapped back,
Q = W_c S^(1/2) V_g V_g^T S^(-1/2): the depthwise filters are the columns of S^(-1/2) V_g, and the pointwise weights
are W_c S^(1/2) V_g. Errors of different channels are added as if their patches were uncorrelated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Singular values up to this fraction of the channel's largest count as zero. A low-rank weight computed in
#: float32 leaves residues of about 1e-7; the Gram matrix in float64 resolves values down to about 1e-8.
RANK_TOLERANCE = 1e-6

# The decomposition takes channels in blocks that fit the second-level cache when widened to float64.
_BLOCK_ELEMENTS = 1 << 16

# One product makes the pointwise weights of so many channels: their filters stand in a block-diagonal matrix, whose
# zeros cost less than products too small to be fast.
_CHANNELS_PER_PRODUCT = 8

# Directions in which a channel's patches vary less than this share of their strongest one (in power) count as if they
# varied so much: few data cannot tell that a direction never occurs.
_LEAST_POWER = 1e-6


class SpectrumError(ValueError):
    """There is no spectrum: a shape does not fit, or there are NaN, infinite or too large values."""


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The singular values and the components of every W_c.

    ``weight`` is the decomposed weight, (M, C, Kh, Kw), float32 or float64. ``squares`` (C, R) are the
    squared singular values in descending order, R = min(M, Kh*Kw); values that are numerically zero are
    exactly zero. ``filters`` (C, R, Kh, Kw) are the depthwise filters of the components, of norm 1.
    ``directions`` (C, R, Kh, Kw) give their pointwise weights: W_c times the direction. Without data the
    two are the same, the right singular vectors.
    """

    weight: Array
    squares: Floats
    filters: Floats
    directions: Floats

    @property
    def numerical_ranks(self) -> Ints:
        """The rank of each W_c, (C,): the number of singular values above the tolerance."""
        ranks: Ints = np.sum(self.squares > 0, axis=1, dtype=np.int64)
        return ranks

    @property
    def singular_values(self) -> Floats:
        """The singular values, (C, R), in descending order."""
        return np.sqrt(self.squares)

    def weighted(self, alphas: npt.ArrayLike | None = None) -> Floats:
        """Return alpha_c * sigma_{i,c}^2, (C, R): what dropping a component adds to e^2 (Equation 5).

        ``alphas`` (C,) defaults to ones. Each row descends. Raises ``ValueError`` if ``alphas`` has another
        shape, is negative, or is not finite.
        """
        if alphas is None:
            return self.squares
        weights = np.asarray(alphas, dtype=np.float64)
        channels = self.squares.shape[0]
        if weights.shape != (channels,):
            raise ValueError(f"alphas: expected shape ({channels},), got {weights.shape}")
        if not np.isfinite(weights).all() or (weights < 0).any():
            raise ValueError("alphas: every value must be finite and at least 0")
        return self.squares * weights[:, None]

    def factors(self, ranks: npt.ArrayLike) -> Factors:
        """Return the best GDWS approximation with channel distribution vector ``ranks`` (C,).

        Each channel is truncated to its leading ``ranks[c]`` components (Lemma 1, Eckart-Young). Raises
        ``ValueError`` if ``ranks`` has another shape or leaves 0..R.
        """
        g = check_ranks(ranks, self.squares.shape)
        M, C, Kh, Kw = self.weight.shape
        starts = np.concatenate([[0], np.cumsum(g)])  # channel c has the components starts[c]:starts[c + 1]
        channels = np.repeat(np.arange(C), g)
        components = np.arange(len(channels)) - starts[channels]  # position within the channel
        depthwise = self.filters[channels, components].astype(self.weight.dtype)
        spread = np.zeros((len(channels), _CHANNELS_PER_PRODUCT, Kh * Kw), dtype=self.weight.dtype)
        directions = self.directions[channels, components].reshape(-1, Kh * Kw)
        spread[np.arange(len(channels)), channels % _CHANNELS_PER_PRODUCT] = directions
        rows, pointwise = self.weight.reshape(M, C, Kh * Kw), np.empty((M, len(channels)), dtype=self.weight.dtype)
        for first in range(0, C, _CHANNELS_PER_PRODUCT):
            block = rows[:, first : first + _CHANNELS_PER_PRODUCT]
            kept = slice(starts[first], starts[first + block.shape[1]])
            right = spread[kept, : block.shape[1]].reshape(-1, block.shape[1] * Kh * Kw)
            np.matmul(block.reshape(M, -1), right.T, out=pointwise[:, kept])
        return Factors(channels=channels, depthwise=depthwise, pointwise=pointwise)


@dataclass(frozen=True, eq=False)
class Factors:
    """A GDWS weight as its two convolutions (Property 1), components ordered by channel.

    ``channels`` (G,) is the input channel each depthwise filter reads, ascending; ``depthwise`` (G, Kh, Kw)
    are the filters; ``pointwise`` (M, G) mixes their outputs.
    """

    channels: Ints
    depthwise: Array
    pointwise: Array


def decompose(
    weight: npt.ArrayLike, *, inputs: npt.ArrayLike | None = None, outputs: npt.ArrayLike | None = None
) -> Spectrum:
    """Return the spectrum of ``weight`` (M, C, Kh, Kw), or with data that of H^(1/2) W_c S_c^(1/2), see above.

    ``inputs`` (C, Kh*Kw, Kh*Kw) are the second moments S_c of the patches of each input channel; they may be
    singular. ``outputs`` (M, M) is H, positive semidefinite. Both default to the identity.

    Singular values are computed in float64 from Gram matrices, whatever the dtype; weights narrower than
    float32 are widened first. Raises :class:`SpectrumError`.
    """
    array = np.asarray(weight)
    if array.ndim != 4 or 0 in array.shape:
        raise SpectrumError(f"expected a weight (M, C, Kh, Kw) that is not empty, got shape {array.shape}")
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float32)
    M, C, Kh, Kw = array.shape
    power = None if inputs is None else _moments("inputs", inputs, (C, Kh * Kw, Kh * Kw))
    H = None if outputs is None else _moments("outputs", outputs, (M, M))
    components = min(M, Kh * Kw)
    squares = np.empty((C, components))
    filters = np.empty((C, components, Kh, Kw))
    directions = filters if power is None else np.empty_like(filters)
    rows = array.reshape(M, C, Kh * Kw)
    for block in _channel_blocks(M, C, Kh * Kw):
        matrices = rows[:, block].astype(np.float64, order="C").transpose(1, 0, 2)  # (block, M, Kh*Kw)
        gram = matrices.transpose(0, 2, 1) @ (matrices if H is None else H @ matrices)
        if not np.isfinite(gram).all():
            raise SpectrumError("the weight holds NaN, infinity or values too large to square")
        roots = None if power is None else _roots(power[block])
        if roots is not None:
            gram = roots.forth @ gram @ roots.forth
        eigenvalues, vectors = np.linalg.eigh(gram)  # ascending
        squares[block] = eigenvalues[:, : -components - 1 : -1]
        leading = vectors[:, :, : -components - 1 : -1]
        if roots is not None:
            shaped = roots.back @ leading
            norms = np.linalg.norm(shaped, axis=1, keepdims=True)
            directions[block] = _as_filters(roots.forth @ leading * norms, Kh, Kw)
            leading = shaped / norms
        filters[block] = _as_filters(leading, Kh, Kw)
    squares[squares <= squares[:, :1] * RANK_TOLERANCE**2] = 0.0
    return Spectrum(weight=array, squares=squares, filters=filters, directions=directions)


def check_ranks(ranks: npt.ArrayLike, limits: tuple[int, ...]) -> Ints:
    """Return ``ranks`` as (C,) integers; ``limits`` is (C, R). Raises ``ValueError`` if they do not fit."""
    channels, components = limits
    g = np.asarray(ranks)
    if g.shape != (channels,) or not np.issubdtype(g.dtype, np.integer):
        raise ValueError(f"ranks: expected {channels} integers, got {g.dtype} of shape {g.shape}")
    outside = np.flatnonzero((g < 0) | (g > components))
    if outside.size:
        raise ValueError(f"ranks[{outside[0]}]: expected 0 to {components}, got {g[outside[0]]}")
    return g.astype(np.int64)


class _Roots(NamedTuple):
    """S^(1/2) and S^(-1/2) of each channel, (block, Kh*Kw, Kh*Kw)."""

    forth: Floats
    back: Floats


def _roots(power: Floats) -> _Roots:
    """The roots of the second moments (block, K, K), made regular; a channel without power has zero and identity."""
    values, vectors = np.linalg.eigh(power)
    strongest = values[:, -1:]
    roots = np.sqrt(np.maximum(values, _LEAST_POWER * strongest)) * (strongest > 0)
    inverse = np.divide(1, roots, out=np.ones_like(roots), where=roots > 0)
    transposed = vectors.transpose(0, 2, 1)
    return _Roots((vectors * roots[:, None]) @ transposed, (vectors * inverse[:, None]) @ transposed)


def _moments(name: str, moments: npt.ArrayLike, shape: tuple[int, ...]) -> Floats:
    array = np.asarray(moments, dtype=np.float64)
    if array.shape != shape:
        raise SpectrumError(f"{name}: expected second moments of shape {shape}, got {array.shape}")
    if not np.isfinite(array).all():
        raise SpectrumError(f"{name}: the second moments contain NaN or infinity")
    return array


def _as_filters(columns: Floats, Kh: int, Kw: int) -> Floats:
    """Columns (block, Kh*Kw, R) -> filters (block, R, Kh, Kw)."""
    return columns.transpose(0, 2, 1).reshape(len(columns), -1, Kh, Kw)


def _channel_blocks(M: int, C: int, taps: int) -> list[slice]:
    step = max(1, _BLOCK_ELEMENTS // (M * taps))
    return [slice(start, min(start + step, C)) for start in range(0, C, step)]
