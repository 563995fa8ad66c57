"""Allocation under a bound on the MACs of a whole network: the ranks of each layer, or dense layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gdws.algorithms.allocate import mego
from gdws.algorithms.share import Option, share
from gdws.algorithms.spectrum import Ints, Spectrum
from gdws_contract.costs import dense_weights, gdws_weights

#: Mean ranks G/C that are tried where ranks may differ: quarters, halves and wholes, as each step then counts alike.
_MEAN_RANKS = (0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8)
#: G is a multiple of this where ranks may differ and there are so many channels. Vectors hold 4 to 16 channels, and a
#: depthwise convolution that does not fill them can run three times slower (ONNX Runtime with AVX-512).
VECTOR = 16


@dataclass(frozen=True, eq=False)
class Candidate:
    """A weight that may be converted, applied at ``positions`` places in a forward pass of one sample.

    It may take any of ``ranks``, (C,) each, at the ``errors`` beside them, in any unit that adds up over weights; or
    stay dense, without error.
    """

    weight_shape: Sequence[int]
    positions: int
    ranks: Sequence[Ints]
    errors: Sequence[float]


def nested_ranks(spectrum: Spectrum, alphas: npt.ArrayLike | None = None, *, equal: bool = False) -> list[Ints]:
    """Ranks (C,) to choose from, from few to many: MEGO's, or ``equal`` ones; with fewer MACs than the dense weight.

    Where ranks differ, G fills vectors (:data:`VECTOR`). None keeps components of value zero, so that G may be less,
    and a weight of zeros is offered no component at all. ``alphas`` (C,) as for
    :func:`gdws.algorithms.allocate.mego`.
    """
    shape, useful = spectrum.weight.shape, spectrum.numerical_ranks
    channels, most = len(useful), int(useful.max())
    if equal:
        offered = [np.full(channels, rank) for rank in range(min(1, most), most + 1)]
    else:
        unit = VECTOR if channels >= VECTOR else 1
        totals = {min(unit * int(np.ceil(rank * channels / unit)), int(useful.sum())) for rank in _MEAN_RANKS}
        offered = [mego(spectrum, total, alphas) for total in sorted(totals)]
    return [ranks for ranks in offered if gdws_weights(shape, int(ranks.sum())) < dense_weights(shape)]


def fewest_macs(weight_shape: Sequence[int], positions: int, ranks: Sequence[Ints]) -> float:
    """The MACs of the cheapest of ``ranks``, or of the dense weight without ranks; arguments as for a `Candidate`."""
    return min(option.cost for option in _options(Candidate(weight_shape, positions, ranks, [0.0] * len(ranks))))


def ranks_within(candidates: Sequence[Candidate], macs: float) -> list[Ints | None]:
    """Return the ranks (C_l,) of each weight l, None for one that stays dense: little error for ``macs`` in sum.

    MACs are spent where they take away most error, see :func:`gdws.algorithms.share.share`. Raises ``ValueError`` if
    the fewest components of every weight cost more than ``macs``.
    """
    chosen = share([_options(candidate) for candidate in candidates], macs)
    return [
        None if index == len(candidate.ranks) else candidate.ranks[index]
        for index, candidate in zip(chosen, candidates, strict=True)
    ]


def _options(candidate: Candidate) -> list[Option]:
    """The options of the weight; the last is to stay dense."""
    shape, positions = candidate.weight_shape, candidate.positions
    offered = [
        Option(positions * gdws_weights(shape, int(ranks.sum())), error)
        for ranks, error in zip(candidate.ranks, candidate.errors, strict=True)
    ]
    return [*offered, Option(positions * dense_weights(shape), 0.0)]
