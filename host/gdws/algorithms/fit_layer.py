"""Fits the factors of one layer from second moments: initialisation, ridge, alternating least squares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gdws.algorithms.refit import Fit, Metric, Moments, Projection, best_dense, choose_ridge, refit_depthwise
from gdws.algorithms.spectrum import Factors, Floats, Spectrum, decompose

Shape = tuple[int, int, int, int]

_DENSE_RIDGE = 1e-4
_FILTER_RIDGE = 1e-3
#: A sweep that reduces the error by less than this fraction is the last.
_LEAST_GAIN = 1e-3
#: Extrapolation of filters in the direction of a sweep: twenty sweeps then achieve what eighty would without.
_MOMENTUM = 0.8


@dataclass(frozen=True, eq=False)
class FittedLayer:
    """``factors`` with the ``bias`` (M,) to add beside them.

    ``error`` is the share of the variance of the targets that they leave. ``change`` is E[e^T H e] of the error e at
    one position, with H the ``outputs`` that the layer was fitted with.
    """

    factors: Factors
    bias: Floats
    error: float
    change: float


@dataclass(frozen=True, eq=False)
class LayerProblem:
    """The problem of fitting the factors of one layer, for any ranks.

    ``moments`` are of all data, not centred, ``ridge_data`` those of two parts of them: pointwise weights found on the
    first, judged on the second. ``outputs`` (M, M) weighs the errors of the outputs, ``spectrum`` is that of the dense
    weight nearest to the targets.
    """

    spectrum: Spectrum
    moments: Moments
    ridge_data: tuple[Moments, Moments]
    outputs: Floats
    metric: Metric
    shape: Shape

    @classmethod
    def of(cls, weight: Floats, shape: Shape, ridge_data: tuple[Moments, Moments], outputs: Floats) -> LayerProblem:
        """The problem for the trained ``weight`` (M, C*Kh*Kw) of ``shape`` (M, C, Kh, Kw)."""
        moments = ridge_data[0].pooled(ridge_data[1])
        centred = moments.centred()
        nearest = best_dense(weight, centred, _DENSE_RIDGE).reshape(shape)
        spectrum = decompose(nearest, inputs=centred.of_channels(shape[1]), outputs=outputs)
        return cls(spectrum, moments, ridge_data, outputs, Metric.of(outputs), shape)

    def fit(self, ranks: Sequence[int], sweeps: int) -> FittedLayer:
        """The factors of these ``ranks`` (C,).

        Filters and pointwise weights are refitted in turn up to ``sweeps`` times. Each sweep takes away less than the
        one before; twenty, which need no data, take away a quarter of the error that two leave (rank 2).
        """
        _, _, Kh, Kw = self.shape
        start = self.spectrum.factors(ranks)
        found = Fit(start.channels, start.depthwise.reshape(-1, Kh * Kw), start.pointwise)
        train, held_out = (Projection.of(found, part.centred()) for part in self.ridge_data)
        ridge = choose_ridge(train, held_out)
        centred = self.moments.centred()
        power = self._power(centred)
        found = self._alternate(found, centred.with_targets(self.metric.root), ridge, sweeps, power)
        found = replace(found, pointwise=self.metric.inverse @ found.pointwise)
        projection = Projection.of(found, centred)
        return FittedLayer(
            factors=Factors(found.channels, found.depthwise.reshape(-1, Kh, Kw), found.pointwise),
            bias=found.bias(self.moments),
            error=projection.relative_error(found.pointwise),
            change=projection.change(found.pointwise, self.outputs, power),
        )

    def _alternate(self, found: Fit, weighed: Moments, ridge: float, sweeps: int, power: Floats) -> Fit:
        """``found`` with filters and pointwise weights refitted to targets H^(1/2) y in turn, until it hardly helps.

        Before each sweep the filters go on in the direction of the one before, unless that raised the error.
        """
        regular = self.metric.root @ power @ self.metric.root
        left, ahead = float("inf"), found
        for _ in range(sweeps):
            ahead, after = _with_best_pointwise(ahead, weighed, ridge, regular)
            if after > left:  # went too far
                ahead, after = _with_best_pointwise(found, weighed, ridge, regular)
            if after > (1 - _LEAST_GAIN) * left:
                break
            earlier, found, left = found, refit_depthwise(ahead, weighed, _FILTER_RIDGE), after
            ahead = found.beyond(earlier, _MOMENTUM)
        return _with_best_pointwise(found, weighed, ridge, regular)[0]

    def _power(self, centred: Moments) -> Floats:
        """E[y y^T] (M, M) of the targets, which no moment has: that of the nearest dense weight."""
        dense = self.spectrum.weight.reshape(self.shape[0], -1)
        return dense @ centred.xx @ dense.T


def _with_best_pointwise(found: Fit, weighed: Moments, ridge: float, power: Floats) -> tuple[Fit, float]:
    """``found`` with its best pointwise weights, and E||e||^2 of targets of ``power`` (M, M)."""
    projection = Projection.of(found, weighed)
    pointwise = projection.best_pointwise(ridge)
    return replace(found, pointwise=pointwise), projection.change(pointwise, np.eye(len(power)), power)
