"""Intervals of figures that are shares of sums over images, whose parts belong together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from gdws_contract.findings.intervals import CONFIDENCE
from gdws_contract.measures import Figure, Interval, Proportion

_RESAMPLES = 1000
_METHOD = "bootstrap over images"

Floats = npt.NDArray[np.float64]


def share(successes: Sequence[int], counts: Sequence[int]) -> Proportion | None:
    """All ``successes`` of all ``counts``, which are by image; None if there is nothing to count.

    What is in one image is not independent, so images are what is drawn again for the interval.
    """
    if not sum(counts):
        return None
    return Proportion(
        value=sum(successes) / sum(counts),
        successes=sum(successes),
        count=sum(counts),
        interval=_interval(np.array([successes, counts], dtype=np.float64), _ratio),
    )


def figure(parts: Floats, of: Callable[[Floats], Floats], *, higher_is_better: bool) -> Figure:
    """A figure ``of`` sums over images, with its interval; ``parts`` (P, N) are by image.

    ``of`` turns sums (P, ...) into figures (...).
    """
    return Figure(value=float(of(parts.sum(axis=1))), higher_is_better=higher_is_better, interval=_interval(parts, of))


def mean(values: Sequence[float], *, higher_is_better: bool) -> Figure:
    """The mean over images."""
    return figure(np.array([values, np.ones(len(values))]), _ratio, higher_is_better=higher_is_better)


def _ratio(sums: Floats) -> Floats:
    found: Floats = sums[0] / sums[1]
    return found


def _interval(parts: Floats, of: Callable[[Floats], Floats]) -> Interval | None:
    """None where the images are too few, or some draws would hold nothing to divide by."""
    images = parts.shape[1]
    if images < 2:
        return None
    generator = np.random.default_rng(0)
    weights = generator.multinomial(images, np.full(images, 1 / images), size=_RESAMPLES)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = of(parts @ weights.T.astype(np.float64))
    if not np.isfinite(found).all():
        return None
    low, high = np.quantile(found, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(low=float(low), high=float(high), level=CONFIDENCE, method=_METHOD)
