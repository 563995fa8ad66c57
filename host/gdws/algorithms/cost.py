"""The error of an approximation."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gdws.algorithms.spectrum import Floats, Spectrum, check_ranks


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
