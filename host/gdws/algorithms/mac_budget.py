"""One bound on the MACs of a whole network: which ranks each layer gets, and which layers stay dense."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gdws.algorithms.allocate import mego
from gdws.algorithms.cost import dense_weights, gdws_weights, weighted_error
from gdws.algorithms.share import Option, share
from gdws.algorithms.spectrum import Ints, Spectrum

#: Unequal ranks are tried in steps of this mean rank G/C.
_STEP = 1 / 8


@dataclass(frozen=True, eq=False)
class Candidate:
    """A weight that may be converted, applied at ``positions`` places in a forward pass of one sample.

    ``alphas`` (C,) as for :func:`gdws.algorithms.allocate.mego`.
    """

    spectrum: Spectrum
    positions: int
    alphas: npt.ArrayLike | None = None


def ranks_within(candidates: Sequence[Candidate], macs: float, *, equal: bool = False) -> list[Ints | None]:
    """Return the ranks (C_l,) of each weight l, None for one that stays dense: little error for ``macs`` in sum.

    The errors e^2 of Equation 5 add up over weights, so they are bought where they cost least: see
    :func:`gdws.algorithms.share.share`. A weight stays dense where ranks would cost as much, and where dense MACs are
    the best buy. Ranks within a weight are MEGO's, of whole eighths of a mean rank, or ``equal``.
    Raises ``ValueError`` if a mean rank of 1/8, or an equal rank of 1, in every weight costs more than ``macs``.
    """
    ranks = [_nested(candidate, equal=equal) for candidate in candidates]
    options = [
        [*(_option(candidate, each) for each in offered), _dense(candidate)]
        for candidate, offered in zip(candidates, ranks, strict=True)
    ]
    chosen = share(options, macs)
    return [None if index == len(offered) else offered[index] for index, offered in zip(chosen, ranks, strict=True)]


def _nested(candidate: Candidate, *, equal: bool) -> list[Ints]:
    """Ranks that cost less than the dense weight, from few to many; none of them keeps components of value zero."""
    spectrum = candidate.spectrum
    channels, ranks = len(spectrum.squares), spectrum.numerical_ranks
    if equal:
        most = int(ranks.max())
        offered = [np.full(channels, rank) for rank in range(min(1, most), most + 1)]
    else:
        steps = np.arange(_STEP, ranks.max() + _STEP, _STEP) if ranks.any() else np.zeros(1)
        totals = np.unique(np.minimum(np.ceil(steps * channels), ranks.sum()))
        offered = [mego(spectrum, total, candidate.alphas) for total in totals]
    dense = _dense(candidate).cost
    return [each for each in offered if _macs(candidate, each) < dense]


def _option(candidate: Candidate, ranks: Ints) -> Option:
    return Option(_macs(candidate, ranks), weighted_error(candidate.spectrum, ranks, candidate.alphas))


def _dense(candidate: Candidate) -> Option:
    return Option(candidate.positions * dense_weights(candidate.spectrum.weight.shape), 0.0)


def _macs(candidate: Candidate, ranks: Ints) -> int:
    return candidate.positions * gdws_weights(candidate.spectrum.weight.shape, int(ranks.sum()))
