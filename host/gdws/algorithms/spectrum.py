"""The spectrum of a convolution: the singular values of each input channel's sub-matrix.

A weight (M, C, Kh, Kw) is C sub-matrices W_c of shape (M, Kh*Kw) (Section 3.2 of the paper). A GDWS
convolution with channel distribution vector g is exactly a weight with rank(W_c) <= g_c, so these singular
values decide everything that follows.

The right singular vectors V_c are the eigenvectors of the small Gram matrix W_c^T W_c. The best
approximation of rank g is W_c V_g V_g^T: its depthwise filters are the columns of V_g and its pointwise
weights are W_c V_g. The left singular vectors are never needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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


class SpectrumError(ValueError):
    """The weight has no spectrum: its shape is not (M, C, Kh, Kw), or it holds NaN or infinity."""


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The singular values and right singular vectors of every W_c.

    ``weight`` is the decomposed weight, (M, C, Kh, Kw), float32 or float64. ``squares`` (C, R) are the
    squared singular values in descending order, R = min(M, Kh*Kw); values that are numerically zero are
    exactly zero. ``filters`` (C, R, Kh, Kw) are the right singular vectors, of norm 1, as depthwise filters.
    """

    weight: Array
    squares: Floats
    filters: Floats

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
        spread[np.arange(len(channels)), channels % _CHANNELS_PER_PRODUCT] = depthwise.reshape(-1, Kh * Kw)
        rows, pointwise = self.weight.reshape(M, C, Kh * Kw), np.empty((M, len(channels)), dtype=self.weight.dtype)
        for first in range(0, C, _CHANNELS_PER_PRODUCT):
            block = rows[:, first : first + _CHANNELS_PER_PRODUCT]
            kept = slice(starts[first], starts[first + block.shape[1]])
            filters = spread[kept, : block.shape[1]].reshape(-1, block.shape[1] * Kh * Kw)
            np.matmul(block.reshape(M, -1), filters.T, out=pointwise[:, kept])
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


def decompose(weight: npt.ArrayLike) -> Spectrum:
    """Return the spectrum of ``weight`` (M, C, Kh, Kw).

    Singular values are computed in float64 from the Gram matrices W_c^T W_c, whatever the dtype; weights
    narrower than float32 are widened first. Raises :class:`SpectrumError`.
    """
    array = np.asarray(weight)
    if array.ndim != 4 or 0 in array.shape:
        raise SpectrumError(f"expected a weight (M, C, Kh, Kw) that is not empty, got shape {array.shape}")
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float32)
    M, C, Kh, Kw = array.shape
    components = min(M, Kh * Kw)
    squares = np.empty((C, components))
    filters = np.empty((C, components, Kh, Kw))
    rows = array.reshape(M, C, Kh * Kw)
    for block in _channel_blocks(M, C, Kh * Kw):
        matrices = rows[:, block].astype(np.float64, order="C").transpose(1, 0, 2)  # (block, M, Kh*Kw)
        gram = matrices.transpose(0, 2, 1) @ matrices
        if not np.isfinite(gram).all():
            raise SpectrumError("the weight holds NaN, infinity or values too large to square")
        eigenvalues, vectors = np.linalg.eigh(gram)  # ascending
        squares[block] = eigenvalues[:, : -components - 1 : -1]
        leading = vectors[:, :, : -components - 1 : -1].transpose(0, 2, 1)
        filters[block] = leading.reshape(-1, components, Kh, Kw)
    squares[squares <= squares[:, :1] * RANK_TOLERANCE**2] = 0.0
    return Spectrum(weight=array, squares=squares, filters=filters)


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


def _channel_blocks(M: int, C: int, taps: int) -> list[slice]:
    step = max(1, _BLOCK_ELEMENTS // (M * taps))
    return [slice(start, min(start + step, C)) for start in range(0, C, step)]
