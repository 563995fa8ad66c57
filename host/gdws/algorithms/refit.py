"""The optimal factors of a GDWS convolution for given data, from second moments alone.

With P the pointwise weights (M, G) and D the depthwise filters as rows over all patches (G, C*Kh*Kw), each zero
outside its channel, the layer computes P D x + b on a patch x. Its mean squared distance to a target y is::

    E||y - b - P D x||^2,   with b the best bias:   tr(E_yy) - 2 tr(P D E_xy) + tr(P D E_xx D^T P^T)

where E_xx, E_xy and E_yy are covariances. So once these are summed up, every further step needs no data:

- given D, the best P solves a least-squares problem with the Gram matrix D E_xx D^T (G, G);
- given P and all other filters, the best filter of one component solves one with the (Kh*Kw, Kh*Kw) covariance
  of its channel. Going through the components in turn never raises the error.

Whatever weighs the errors of the outputs against each other, the best P is the same; the best filters are not. With H
the weight, E[e^T H e] in place of E||e||^2, both steps are those above on targets H^(1/2) y.

``x`` are patches in the network as converted so far and ``y`` outputs of the network before conversion, so a layer
makes up for what earlier layers lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csr_array

from gdws.algorithms.spectrum import Floats, Ints

#: Shares of the mean power that are added to a Gram matrix. What is too small overfits few data, what is too large
#: shrinks the weights.
RIDGES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
#: No direction of the outputs weighs less than this share of the heaviest: gradients of few data leave some out.
_LEAST_WEIGHT = 1e-3


@dataclass(frozen=True, eq=False)
class Moments:
    """Second moments of patches x (C*Kh*Kw,) and targets y (M,), about zero.

    ``xx`` (C*Kh*Kw, C*Kh*Kw) and ``yx`` (M, C*Kh*Kw) are means of products, ``yy`` is the mean of ||y||^2,
    ``x`` and ``y`` are means; ``count`` says of how many patches.
    """

    xx: Floats
    yx: Floats
    yy: float
    x: Floats
    y: Floats
    count: int

    def centred(self) -> Moments:
        """Return the moments about the means: covariances. The means stay."""
        return replace(
            self,
            xx=self.xx - np.outer(self.x, self.x),
            yx=self.yx - np.outer(self.y, self.x),
            yy=self.yy - float(self.y @ self.y),
        )

    def pooled(self, other: Moments) -> Moments:
        """Return the moments of both sets of patches together; neither is centred."""
        count = self.count + other.count
        mine, theirs = self.count / count, other.count / count
        return Moments(
            xx=mine * self.xx + theirs * other.xx,
            yx=mine * self.yx + theirs * other.yx,
            yy=mine * self.yy + theirs * other.yy,
            x=mine * self.x + theirs * other.x,
            y=mine * self.y + theirs * other.y,
            count=count,
        )

    def with_targets(self, change: Floats) -> Moments:
        """Return the moments of x and ``change`` @ y, with ``change`` (M, M); ``yy``, which needs more, stays."""
        return replace(self, yx=change @ self.yx, y=change @ self.y)

    def of_channels(self, channels: int) -> Floats:
        """The blocks of ``xx`` on its diagonal, one for each input channel, (C, Kh*Kw, Kh*Kw)."""
        taps = len(self.xx) // channels
        blocks = self.xx.reshape(channels, taps, channels, taps)
        return np.ascontiguousarray(blocks[np.arange(channels), :, np.arange(channels)])


@dataclass(frozen=True, eq=False)
class Fit:
    """Factors of a layer: ``depthwise`` (G, Kh*Kw) of norm 1 each, ``pointwise`` (M, G), and ``channels`` (G,).

    Components are ordered by the input channel that they read.
    """

    channels: Ints
    depthwise: Floats
    pointwise: Floats

    def by_channel(self) -> Iterator[tuple[slice, slice]]:
        """For each channel in use: its components, and its place in a patch (C*Kh*Kw,)."""
        taps = self.depthwise.shape[1]
        used, starts, counts = np.unique(self.channels, return_index=True, return_counts=True)
        for channel, start, end in zip(used, starts, starts + counts, strict=True):
            yield slice(start, end), slice(channel * taps, (channel + 1) * taps)

    def over_patches(self, size: int) -> csr_array:
        """The filters as rows over whole patches, zero outside their channels: D, (G, C*Kh*Kw) = (G, ``size``)."""
        components, taps = self.depthwise.shape
        columns = self.channels[:, None] * taps + np.arange(taps)
        ends = np.arange(components + 1) * taps
        return csr_array((self.depthwise.ravel(), columns.ravel(), ends), shape=(components, size))

    def beyond(self, earlier: Fit, step: float) -> Fit:
        """These filters moved on by ``step`` times the way from ``earlier``; norms stay 1."""
        moved = self.depthwise + step * (self.depthwise - earlier.depthwise)
        norms = np.linalg.norm(moved, axis=1, keepdims=True)
        return replace(self, depthwise=np.divide(moved, norms, out=self.depthwise.copy(), where=norms > 0))

    def bias(self, moments: Moments) -> Floats:
        """The best bias (M,): it carries the mean of the targets."""
        means: Floats = self.over_patches(len(moments.x)) @ moments.x
        return moments.y - self.pointwise @ means


@dataclass(frozen=True, eq=False)
class Projection:
    """Covariances of the filters' outputs, as the pointwise weights see them.

    ``gram`` (G, G) is D E_xx D^T, ``cross`` (M, G) is E_yx D^T, ``yy`` is tr(E_yy).
    """

    gram: Floats
    cross: Floats
    yy: float

    @classmethod
    def of(cls, fit: Fit, moments: Moments) -> Projection:
        """Project ``moments``, which are centred, on the filters of ``fit``."""
        filters = fit.over_patches(len(moments.xx))
        gram = filters @ (filters @ moments.xx).T
        cross = np.ascontiguousarray((filters @ moments.yx.T).T)
        return cls((gram + gram.T) / 2, cross, moments.yy)

    def best_pointwise(self, ridge: float) -> Floats:
        """The pointwise weights (M, G) of least squared error plus ``ridge`` times each one's own power."""
        power = np.diagonal(self.gram)
        regular = self.gram + np.diag(np.where(power > 0, ridge * power, 1.0))
        solution: Floats = np.linalg.solve(regular, self.cross.T).T
        return solution

    def relative_error(self, pointwise: Floats) -> float:
        """E||y - b - P D x||^2 over E||y - E y||^2; 0 where the targets do not vary."""
        if self.yy <= 0:
            return 0.0
        crossed = float(np.sum(pointwise * self.cross))
        squared = float(np.sum((pointwise @ self.gram) * pointwise))
        return max(0.0, (self.yy - 2 * crossed + squared) / self.yy)

    def change(self, pointwise: Floats, outputs: Floats, power: Floats) -> float:
        """E[e^T H e] of the error e, with H the ``outputs`` (M, M) and E[y y^T] the ``power`` (M, M)."""
        weighed = outputs @ pointwise
        crossed = float(np.sum(weighed * self.cross))
        squared = float(np.sum((weighed @ self.gram) * pointwise))
        return max(0.0, float(np.sum(outputs * power)) - 2 * crossed + squared)


@dataclass(frozen=True, eq=False)
class Metric:
    """H^(1/2) and H^(-1/2), (M, M): how much errors of the outputs matter, made regular."""

    root: Floats
    inverse: Floats

    @classmethod
    def of(cls, outputs: Floats) -> Metric:
        """The metric of ``outputs`` (M, M), positive semidefinite; the identity if that is zero."""
        values, vectors = np.linalg.eigh(outputs)
        if values[-1] <= 0:
            return cls(np.eye(len(outputs)), np.eye(len(outputs)))
        roots = np.sqrt(np.maximum(values, _LEAST_WEIGHT * values[-1]))
        return cls((vectors * roots) @ vectors.T, (vectors / roots) @ vectors.T)


def choose_ridge(train: Projection, held_out: Projection) -> float:
    """The ridge of :data:`RIDGES` whose pointwise weights, found on ``train``, err least on ``held_out``."""
    errors = [held_out.relative_error(train.best_pointwise(ridge)) for ridge in RIDGES]
    return RIDGES[int(np.argmin(errors))]


def refit_depthwise(fit: Fit, moments: Moments, ridge: float) -> Fit:
    """Return ``fit`` with each filter in turn the best for all else; ``moments`` are centred.

    Filters get norm 1, the pointwise weights the rest.
    """
    products = fit.pointwise.T @ fit.pointwise
    depthwise = fit.depthwise.copy()
    taps = depthwise.shape[1]
    inverses = _inverses(moments.of_channels(len(moments.xx) // taps), ridge)
    # Covariances (G, C*Kh*Kw) of the output of each filter, as it is so far, with every input of the patch.
    correlations = fit.over_patches(len(moments.xx)) @ moments.xx
    for components, place in fit.by_channel():
        inverse = inverses[place.start // taps]
        if inverse is None:
            continue
        wanted = fit.pointwise[:, components].T @ moments.yx[:, place]
        met = correlations[:, place]
        for component, aim in zip(range(components.start, components.stop), wanted, strict=True):
            weight = products[component, component]
            if weight <= 0:
                continue
            others = products[component] @ met - weight * met[component]
            depthwise[component] = inverse @ (aim - others) / weight
            met[component] = depthwise[component] @ moments.xx[place, place]
        correlations[components] = depthwise[components] @ moments.xx[place]
    norms = np.linalg.norm(depthwise, axis=1)
    scaled = depthwise / np.where(norms > 0, norms, 1.0)[:, None]
    return replace(fit, depthwise=scaled, pointwise=fit.pointwise * norms)


def best_dense(weight: Floats, moments: Moments, ridge: float) -> Floats:
    """The dense weight (M, C*Kh*Kw) nearest to the targets, held to ``weight`` where the data say little.

    ``moments`` are centred. It minimises E||y - b - W x||^2 plus ``ridge`` times the mean power of x times
    ||W - weight||^2.
    """
    power = float(np.trace(moments.xx)) / len(moments.xx)
    if power <= 0:
        return weight
    regular = moments.xx + ridge * power * np.eye(len(moments.xx))
    change = np.linalg.solve(regular, (moments.yx - weight @ moments.xx).T).T
    nearest: Floats = weight + change
    return nearest


def _inverses(covariances: Floats, ridge: float) -> list[Floats | None]:
    """Of each of ``covariances`` (C, Kh*Kw, Kh*Kw) with ``ridge`` times its mean power added; None where that is 0."""
    taps = covariances.shape[1]
    powers = np.trace(covariances, axis1=1, axis2=2) / taps
    used = powers > 0
    regular = covariances[used] + ridge * powers[used, None, None] * np.eye(taps)
    found = iter(np.linalg.inv(regular))
    return [next(found) if each else None for each in used]
