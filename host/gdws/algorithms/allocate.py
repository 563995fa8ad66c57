"""Ranks for a convolution: LEGO (Algorithm 2), MEGO (Algorithm 1), and their forms with equal ranks.

Both algorithms keep a prefix of one list: all components of all channels, sorted by alpha_c * sigma^2 in
descending order. Equal values are ordered by channel, then by index within the channel, so results are
deterministic, ranks are nested as the budget grows, and a channel always keeps its leading components.
Components of value zero are never kept: they cost MACs and change nothing.

LEGO also works on several convolutions with one list for all: the sum of their e^2 is bounded, which with the alphas of
Equation 8 bounds the probability that weight errors change a decision. Algorithm 3 bounds each e^2 by itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gdws.algorithms.cost import running_sums
from gdws.algorithms.spectrum import Floats, Ints, Spectrum


def lego(spectrum: Spectrum, beta: float, alphas: npt.ArrayLike | None = None) -> Ints:
    """Return the ranks (C,) of least sum G whose e^2 is at most ``beta`` (Theorem 2, Algorithm 2).

    ``beta`` bounds e^2, the squared weighted error of Equation 5; the bound may be met with equality.
    ``alphas`` (C,) defaults to ones. Raises ``ValueError`` for a bound or weights that make no sense.
    """
    _check_bound("beta", beta)
    return _fewest([spectrum.weighted(alphas)], beta)[0]


def network_lego(
    spectra: Sequence[Spectrum], budget: float, alphas: Sequence[npt.ArrayLike | None] | None = None
) -> list[Ints]:
    """Return the ranks (C_l,) of each layer l, of least sum over all layers, whose sum of e^2 is at most ``budget``.

    As every component adds one to the sum of ranks, whatever its layer, those of the smallest alpha_c * sigma^2 in the
    whole network go first: the argument of Theorem 2 holds unchanged. Equal values are ordered by layer, then as in
    :func:`lego`. ``alphas`` has (C_l,) for each layer; None stands for ones. Raises ``ValueError`` for a bound or
    weights that make no sense.
    """
    _check_bound("budget", budget)
    return _fewest(_weighted(spectra, alphas), budget)


def equal_network_lego(
    spectra: Sequence[Spectrum], budget: float, alphas: Sequence[npt.ArrayLike | None] | None = None
) -> list[Ints]:
    """Return equal ranks within each layer (C_l,), few in sum, whose sum of e^2 over all layers is at most ``budget``.

    A layer gives up its last component in all channels at once. The cheapest step, in error for each component that
    it saves, is taken first, as long as any step fits into the budget. Steps save different numbers of components, so
    this knapsack problem is solved greedily: the result meets the bound, and another choice may have fewer components.
    """
    _check_bound("budget", budget)
    steps = [values.sum(axis=0) for values in _weighted(spectra, alphas)]  # (R_l,): what each rank is worth
    widths = [len(spectrum.squares) for spectrum in spectra]
    ranks = [len(step) for step in steps]
    spent = 0.0
    while True:
        offers = [
            (step[rank - 1] / width, layer)
            for layer, (step, rank, width) in enumerate(zip(steps, ranks, widths, strict=True))
            if rank > 0 and spent + step[rank - 1] <= budget
        ]
        if not offers:
            return [np.full(width, rank, dtype=np.int64) for width, rank in zip(widths, ranks, strict=True)]
        _, layer = min(offers)
        ranks[layer] -= 1
        spent += steps[layer][ranks[layer]]


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


def equal_rank(spectrum: Spectrum, rank: int) -> Ints:
    """Return ``rank`` for every channel (C,), or the greatest useful one if that is less.

    This is Network Decoupling (Guo et al., 2018, arXiv:1808.05517): the best sum of ``rank`` depthwise separable
    convolutions, the same number in every layer.
    """
    _check_bound("equal_rank", rank)
    return equal_mego(spectrum, rank * len(spectrum.squares))


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


def _weighted(spectra: Sequence[Spectrum], alphas: Sequence[npt.ArrayLike | None] | None) -> list[Floats]:
    given = [None] * len(spectra) if alphas is None else alphas
    return [spectrum.weighted(weights) for spectrum, weights in zip(spectra, given, strict=True)]


def _fewest(values: Sequence[Floats], bound: float) -> list[Ints]:
    """The fewest components of the layers, given their values (C_l, R_l), that leave an error of at most ``bound``."""
    every = np.concatenate([layer.ravel() for layer in values]) if values else np.empty(0)
    order = _by_importance(every)
    errors = running_sums(every[order[::-1]])
    kept = np.ones(every.size, dtype=bool)
    kept[order[every.size - int(np.searchsorted(errors, bound, side="right")) :]] = False
    ends = np.cumsum([layer.size for layer in values])
    return [
        _count_by_channel(np.flatnonzero(kept[end - layer.size : end]), layer.shape)
        for end, layer in zip(ends, values, strict=True)
    ]


def _by_importance(values: Floats) -> Ints:
    """Flat indices by descending value; the stable sort leaves ties in order of layers and channels."""
    return np.argsort(-values, axis=None, kind="stable")


def _count_by_channel(flat: Ints, shape: tuple[int, ...]) -> Ints:
    channels, components = shape
    return np.bincount(flat // components, minlength=channels).astype(np.int64)
