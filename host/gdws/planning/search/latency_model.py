"""Times of whole networks as a sum over layers: profiles, corrected by times of whole networks.

The ratio of a network's latency to that of the dense one is taken to be::

    rest + scale * (sum of profiled times) + per_node * (number of nodes) + sum of corrections + sum of pair terms

A profile adds its own time to every node, so its sums are off by tens of percent, in a way that ``scale`` and
``per_node`` take up. Each option at each geometry has a correction of its own, and each pair of layouts of neighbouring
layers a term. All are Gaussian with means that profiles give and small deviations, so the answer is a linear regression
with a prior (Rasmussen & Williams 2006, section 2.1): where timings say nothing the profiles stand. How
far corrections and pair terms may go is what makes the timings most likely, so pair terms are there only if timings ask
for them. A timing that no such sum explains counts less (Huber's weights). Neither the rest nor an option at a geometry
takes less than no time: where the regression has it so, it is held at zero and all else is fitted anew, for to cut it
off afterwards would shift every network by the same amount. Networks that were timed in turns with one engine of the
dense network share its luck, such as where its weights lie in memory: all their ratios may be off by the same factor.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gdws.algorithms.spectrum import Floats
from gdws.planning.search.costs import Costs
from gdws.planning.search.evidence import Profile, Timing
from gdws.planning.search.space import DENSE, Choice, Space
from gdws_contract.plan import LAYOUTS

#: An option at a geometry: (geometry, name of the option).
Class = tuple[str, str]

_PAIRS = tuple(itertools.permutations((DENSE, *LAYOUTS), 2))
#: Relative deviations of corrections that are tried; without profiles they must do more.
_CORRECTIONS = (0.02, 0.05, 0.1, 0.2, 0.4)
_CORRECTIONS_UNPROFILED = (0.3, 0.6, 1.0)
#: Deviations of pair terms, in mean times of a dense layer; relative deviations of whole networks from any sum.
_PAIR_TERMS = (0.0, 0.02, 0.06, 0.15)
_MISFITS = (0.003, 0.006, 0.012, 0.025, 0.05)
#: Relative deviations of the dense network's engine in one measurement.
_LUCKS = (0.0, 0.02, 0.06)
#: Deviations of the rest, of the profiles' scale and of known costs' scale, and of all nodes' time, where dense is 1.
_REST_SD, _SCALE_SD, _KNOWN_SD, _NODES_SD = 0.25, 0.5, 0.1, 0.3
#: Residuals beyond so many deviations count less.
_HUBER = 2.5
#: The deviation, where dense is 1, of what is known exactly: the dense network itself, and what is held at zero.
_EXACT = 1e-4
#: Rows that no engine of the dense network was timed for.
_NO_JOB = -1
#: Share of the dense latency that is taken to be in the layers where no profile tells.
_UNPROFILED_SHARE = 0.8


@dataclass(frozen=True)
class Basis:
    """What is expected of an option at a geometry before whole networks are timed, in milliseconds.

    ``known`` says that it is a cost that earlier timings have put right already, with a relative deviation ``sd``.
    """

    ms: float
    nodes: float = 0.0
    known: bool = False
    sd: float = 0.0


@dataclass(frozen=True, eq=False)
class LatencyModel:
    """The posterior. ``dense`` is the latency of the dense network, in the unit of all costs.

    ``residuals`` are those of each timing by a model that has not seen it, relative to the timing.
    """

    space: Space
    dense: float
    bases: Mapping[Class, Basis]
    mean: Floats
    covariance: Floats
    misfit: float
    residuals: tuple[float, ...]
    has_pair_terms: bool

    def predict(self, choice: Choice) -> tuple[float, float]:
        """The latency of a network and its standard error."""
        row, latency = self._columns.row(choice), self.costs.of(choice)
        variance = float(row @ self.covariance @ row) + (self.misfit * latency / self.dense) ** 2
        return latency, self.dense * variance**0.5

    @cached_property
    def costs(self) -> Costs:
        """The means, as a sum; without what rounding leaves below zero."""
        columns, terms = self._columns, dict(zip(_PAIRS, self.dense * self.mean[-len(_PAIRS) :], strict=True))
        return Costs(
            space=self.space,
            rest=self.dense * max(float(self.mean[0]), 0.0),
            layers=tuple(
                tuple(
                    self.dense * max(float(columns.of_class(key) @ self.mean), 0.0)
                    for key in classes_of(self.space, index)
                )
                for index in range(len(self.space.layers))
            ),
            pairs={pair: float(term) for pair, term in terms.items() if term} if self.has_pair_terms else {},
        )

    def class_costs(self) -> dict[Class, tuple[float, float]]:
        """The cost of each option at each geometry with its standard error."""
        found = {}
        for key in self.bases:
            row = self._columns.of_class(key)
            sd = float(row @ self.covariance @ row) ** 0.5
            found[key] = (self.dense * float(row @ self.mean), self.dense * sd)
        return found

    @cached_property
    def _columns(self) -> _Columns:
        return _Columns(self.space, self.bases, self.dense)


def fit(
    space: Space, dense: float, measurements: Sequence[Sequence[Timing]], bases: Mapping[Class, Basis]
) -> LatencyModel:
    """The model of the timings of ``measurements``, whose ratios are of a dense network of latency ``dense``.

    ``bases`` are from :func:`bases_of`. Works with any number of timings, also none.
    """
    columns = _Columns(space, bases, dense)
    timings = [timing for timings in measurements for timing in timings]
    rows = _Rows(
        design=np.array([columns.row(space.dense), *(columns.row(timing.choice) for timing in timings)]),
        ratios=np.array([1.0, *(timing.ratio for timing in timings)]),
        sd=np.array([_EXACT, *(timing.ratio * timing.relative_sd for timing in timings)]),
        jobs=np.array([_NO_JOB, *(job for job, timings in enumerate(measurements) for _ in timings)]),
    )
    is_profiled = any(basis.nodes or basis.known for basis in bases.values())
    corrections = _CORRECTIONS if is_profiled else _CORRECTIONS_UNPROFILED
    costs = columns.costs
    held = np.zeros(len(costs), bool)
    while True:
        found = _most_likely(columns, rows.with_zeros(costs[held]), corrections)
        negative = (costs @ found.mean < -_EXACT) & ~held
        if not negative.any():
            break
        held |= negative
    return LatencyModel(
        space=space,
        dense=dense,
        bases=bases,
        mean=found.mean,
        covariance=found.covariance,
        misfit=found.deviations.misfit,
        residuals=tuple((found.left_out[1 : 1 + len(timings)] / rows.ratios[1:]).tolist()),
        has_pair_terms=found.deviations.pair_term > 0,
    )


def bases_of(
    space: Space, dense_ms: float, profiles: Sequence[Profile], known: Mapping[Class, Basis] | None = None
) -> dict[Class, Basis]:
    """What ``profiles`` and ``known`` costs tell of every option at every geometry of ``space``.

    Layers of one geometry are replicates, of which the median counts. What neither tells is guessed from the MACs at
    the pace of options of the same kind, or where nothing was profiled at that of the whole dense network.
    """
    seen: dict[Class, list[tuple[float, int]]] = {}
    macs: dict[Class, int] = {}
    kinds: dict[Class, str] = {}
    for place, layer in enumerate(space.layers):
        keys = classes_of(space, place)
        for key, option in zip(keys, layer.options, strict=True):
            macs[key], kinds[key] = option.macs, option.kind
        for profile in profiles:
            share = profile.shares.get(layer.name)
            if share is not None:
                seen.setdefault(keys[profile.choice[place]], []).append((share.ms, share.nodes))
    bases: dict[Class, Basis] = {key: basis for key, basis in (known or {}).items() if key in macs}
    for key, values in seen.items():
        if key not in bases:
            ms, nodes = (statistics.median(column) for column in zip(*values, strict=True))
            bases[key] = Basis(ms, nodes)
    dense_macs = sum(layer.options[0].macs for layer in space.layers)
    whole_pace = _UNPROFILED_SHARE * dense_ms / max(dense_macs, 1)
    paces: dict[str, list[float]] = {}
    for key, basis in bases.items():
        paces.setdefault(kinds[key], []).append(basis.ms / max(macs[key], 1))
    for key in macs:
        if key not in bases:
            pace = statistics.median(paces.get(kinds[key], [whole_pace]))
            bases[key] = Basis(macs[key] * pace)
    return bases


def classes_of(space: Space, place: int) -> list[Class]:
    """The class of each option of a layer."""
    layer = space.layers[place]
    return [(layer.geometry, option.name) for option in layer.options]


class _Columns:
    """The regression's columns: rest, scale of profiles, nodes, scale of known costs, classes, pairs."""

    def __init__(self, space: Space, bases: Mapping[Class, Basis], dense: float) -> None:
        self._space, self._bases, self._dense = space, bases, dense
        self._places = {key: 4 + place for place, key in enumerate(bases)}
        self._pairs = {pair: 4 + len(bases) + place for place, pair in enumerate(_PAIRS)}
        self.size = 4 + len(bases) + len(_PAIRS)
        self._classes = [classes_of(space, place) for place in range(len(space.layers))]

    def of_class(self, key: Class) -> Floats:
        """The row of one option alone."""
        row, basis = np.zeros(self.size), self._bases[key]
        row[3 if basis.known else 1] = basis.ms / self._dense
        row[2] = 0.0 if basis.known else basis.nodes
        row[self._places[key]] = 1.0
        return row

    @property
    def costs(self) -> Floats:
        """The rows of what takes time by itself: the rest, and each class."""
        rest = np.zeros(self.size)
        rest[0] = 1.0
        return np.array([rest, *map(self.of_class, self._bases)])

    def row(self, choice: Choice) -> Floats:
        """The row of a network."""
        total = np.sum([self.of_class(keys[o]) for keys, o in zip(self._classes, choice, strict=True)], axis=0)
        total = total if len(choice) else np.zeros(self.size)
        total[0] = 1.0
        kinds = [option.kind for option in self._space.taken(choice)]
        for pair in itertools.pairwise(kinds):
            if pair in self._pairs:
                total[self._pairs[pair]] += 1.0
        return total

    def prior(self, correction: float, pair_term: float) -> tuple[Floats, Floats]:
        """Means and variances of the coefficients."""
        dense = self.row(self._space.dense)
        mean = np.zeros(self.size)
        mean[[1, 3]] = 1.0
        mean[0] = max(1.0 - dense[1] - dense[3], 0.05)
        typical = statistics.fmean(basis.ms for basis in self._bases.values()) / self._dense if self._bases else 0.0
        sd = np.zeros(self.size)
        sd[:4] = _REST_SD, _SCALE_SD, _NODES_SD / max(dense[2], 1.0), _KNOWN_SD
        for key, place in self._places.items():
            basis = self._bases[key]
            relative = basis.sd if basis.known else correction
            sd[place] = relative * (abs(basis.ms) / self._dense + 0.1 * typical)
        sd[4 + len(self._bases) :] = pair_term * (dense[1] + dense[3]) / max(len(self._space.layers), 1)
        return mean, sd**2


@dataclass(frozen=True, eq=False)
class _Rows:
    """What is to be explained: ``ratios`` with their standard errors ``sd``, and the measurement that each is of."""

    design: Floats
    ratios: Floats
    sd: Floats
    jobs: NDArray[np.int64]

    def with_zeros(self, design: Floats) -> _Rows:
        """These, and rows that take no time."""
        return _Rows(
            design=np.vstack([self.design, design]),
            ratios=np.append(self.ratios, np.zeros(len(design))),
            sd=np.append(self.sd, np.full(len(design), _EXACT)),
            jobs=np.append(self.jobs, np.full(len(design), _NO_JOB)),
        )

    @cached_property
    def is_exact(self) -> NDArray[np.bool_]:
        return np.equal(self.jobs, _NO_JOB)

    @cached_property
    def shared(self) -> Floats:
        """The covariance that a relative deviation of 1 of each dense engine gives them."""
        same = np.equal.outer(self.jobs, self.jobs) & ~self.is_exact
        return np.where(same, np.outer(self.ratios, self.ratios), 0.0)


class _Deviations(NamedTuple):
    """How far things may go from what is expected."""

    correction: float
    pair_term: float
    misfit: float
    luck: float


@dataclass(frozen=True, eq=False)
class _Posterior:
    mean: Floats
    covariance: Floats
    deviations: _Deviations
    likelihood: float
    left_out: Floats
    standardised: Floats


def _most_likely(columns: _Columns, rows: _Rows, corrections: Sequence[float]) -> _Posterior:
    """The regression under the deviations that make ``rows`` most likely, with outliers down-weighted."""
    weights = np.ones(len(rows.ratios))
    for _ in range(3):
        found = max(
            (
                _posterior(columns, rows, weights, _Deviations(*deviations))
                for deviations in itertools.product(corrections, _PAIR_TERMS, _MISFITS, _LUCKS)
            ),
            key=lambda posterior: posterior.likelihood,
        )
        weights = np.minimum(1.0, _HUBER / np.maximum(np.abs(found.standardised), 1e-9))
        weights[rows.is_exact] = 1.0
    return found


def _posterior(columns: _Columns, rows: _Rows, weights: Floats, deviations: _Deviations) -> _Posterior:
    """The regression under one prior, with the residual of each row by a model that has not seen it."""
    mean, variance = columns.prior(deviations.correction, deviations.pair_term)
    misfits = np.where(rows.is_exact, 0.0, deviations.misfit * rows.ratios)
    spread = rows.design * variance
    luck = deviations.luck**2 * rows.shared
    kernel = spread @ rows.design.T + np.diag((rows.sd**2 + misfits**2) / weights**2) + luck
    inverse = np.linalg.inv(kernel)
    off = rows.ratios - rows.design @ mean
    solved = inverse @ off
    own = np.diag(inverse)
    left_out = solved / own
    # Of a network that is left out its measurement is, too: what the others tell of its luck is no part of the model.
    others_luck = luck - np.diag(np.diag(luck))
    told = others_luck @ solved - (others_luck * inverse).sum(axis=1) * left_out
    determinant = np.linalg.slogdet(kernel)[1]
    # A weight below 1 widens a row's noise; that must not count as an explanation, so its own part is taken out.
    penalty = float(np.sum(np.log(weights)))
    return _Posterior(
        mean=mean + spread.T @ solved,
        covariance=np.diag(variance) - spread.T @ inverse @ spread,
        deviations=deviations,
        likelihood=-0.5 * float(off @ solved + determinant) - penalty,
        left_out=left_out + told,
        standardised=solved / np.sqrt(own) / weights,
    )
