"""What a convolution costs, dense and as GDWS, and what an approximation loses."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gdws.algorithms.spectrum import Floats, Spectrum, check_ranks


def dense_weights(weight_shape: Sequence[int]) -> int:
    """Weights of the dense layer, M*C*Kh*Kw: also its MACs at each output position (Equation 2)."""
    return math.prod(weight_shape)


def gdws_weights(weight_shape: Sequence[int], components: int) -> int:
    """Weights of the GDWS layer, G*(Kh*Kw + M): also its MACs at each output position (Equation 3).

    ``components`` is G, the sum of the ranks.
    """
    M, _, Kh, Kw = weight_shape
    return components * (Kh * Kw + M)


def size_mib(parameters: int, bytes_per_parameter: int = 4) -> float:
    """Size of that many parameters in MiB; the paper's Size column counts four bytes each."""
    return parameters * bytes_per_parameter / 2**20


def weighted_error(spectrum: Spectrum, ranks: npt.ArrayLike, alphas: npt.ArrayLike | None = None) -> float:
    """Return e^2 = sum_c alpha_c ||W_c - Q_c||_F^2 (Equation 5, squared) of truncating to ``ranks`` (C,)."""
    g = check_ranks(ranks, spectrum.squares.shape)
    values = spectrum.weighted(alphas)
    dropped = np.sort(values[np.arange(values.shape[1]) >= g[:, None]])
    return float(running_sums(dropped)[-1]) if dropped.size else 0.0


def running_sums(values: Floats) -> Floats:
    """Return the partial sums of ``values`` (n,), each rounded once.

    The sums are carried in extended precision where the machine has it, so that a bound which equals a
    partial sum is met exactly and does not depend on the order of summation.
    """
    return np.cumsum(values, dtype=np.longdouble).astype(np.float64)
