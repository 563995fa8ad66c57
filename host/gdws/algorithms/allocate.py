"""Ranks for a convolution: LEGO (Algorithm 2), MEGO (Algorithm 1), and their forms with equal ranks.

Both algorithms keep a prefix of one list: all components of all channels, sorted by alpha_c * sigma^2 in
descending order. Equal values are ordered by channel, then by index within the channel, so results are
deterministic, ranks are nested as the budget grows, and a channel always keeps its leading components.
Components of value zero are never kept: they cost MACs and change nothing.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from gdws.algorithms.cost import running_sums
from gdws.algorithms.spectrum import Ints, Spectrum


def lego(spectrum: Spectrum, beta: float, alphas: npt.ArrayLike | None = None) -> Ints:
    """Return the ranks (C,) of least sum G whose e^2 is at most ``beta`` (Theorem 2, Algorithm 2).

    ``beta`` bounds e^2, the squared weighted error of Equation 5; the bound may be met with equality.
    ``alphas`` (C,) defaults to ones. Raises ``ValueError`` for a bound or weights that make no sense.
    """
    _check_bound("beta", beta)
    values = spectrum.weighted(alphas)
    order = _by_importance(values)
    errors = running_sums(values.ravel()[order[::-1]])
    dropped = int(np.searchsorted(errors, beta, side="right"))
    return _count_by_channel(order[: values.size - dropped], values.shape)


def mego(spectrum: Spectrum, gamma: float, alphas: npt.ArrayLike | None = None) -> Ints:
    """Return the ranks (C,) of least e^2 whose sum G is at most ``gamma`` (Theorem 1, Algorithm 1).

    ``alphas`` (C,) defaults to ones. G stays below ``gamma`` where fewer components remove all error.
    Raises ``ValueError`` for a bound or weights that make no sense.
    """
    _check_bound("gamma", gamma)
    values = spectrum.weighted(alphas)
    kept = min(int(gamma), int(np.count_nonzero(values)))
    return _count_by_channel(_by_importance(values)[:kept], values.shape)


def equal_lego(spectrum: Spectrum, beta: float, alphas: npt.ArrayLike | None = None) -> Ints:
    """Return the least rank, the same for every channel (C,), whose e^2 is at most ``beta``."""
    _check_bound("beta", beta)
    values = spectrum.weighted(alphas)
    channels, components = values.shape
    rank = components
    while rank > 0 and running_sums(np.sort(values[:, rank - 1 :], axis=None))[-1] <= beta:
        rank -= 1
    return np.full(channels, rank, dtype=np.int64)


def equal_mego(spectrum: Spectrum, gamma: float) -> Ints:
    """Return the greatest useful rank, the same for every channel (C,), whose sum G is at most ``gamma``."""
    _check_bound("gamma", gamma)
    ranks = spectrum.numerical_ranks
    return np.full(len(ranks), min(int(gamma) // len(ranks), int(ranks.max())), dtype=np.int64)


def components_for_mean_rank(mean_rank: float, channels: int, *, equal: bool = False) -> int:
    """Return G for a mean rank G/C: ``mean_rank * channels`` to the nearest integer, halves up.

    With ``equal``, the rank of each channel is rounded instead, to at least 1 if ``mean_rank`` is positive,
    and G is its multiple of ``channels``. Raises ``ValueError`` for a negative or infinite mean rank.
    """
    _check_bound("mean_rank", mean_rank)
    if not equal:
        return math.floor(mean_rank * channels + 0.5)
    rank = math.floor(mean_rank + 0.5)
    return channels * (max(1, rank) if mean_rank > 0 else 0)


def _check_bound(name: str, value: float) -> None:
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{name}: expected a finite number of at least 0, got {value}")


def _by_importance(values: npt.NDArray[np.float64]) -> Ints:
    """Flat indices of (C, R) by descending value; the stable sort leaves ties in channel order."""
    return np.argsort(-values, axis=None, kind="stable")


def _count_by_channel(flat: Ints, shape: tuple[int, ...]) -> Ints:
    channels, components = shape
    return np.bincount(flat // components, minlength=channels).astype(np.int64)
