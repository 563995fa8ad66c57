"""A device that follows a known law: costs of layers, pair terms, noise, and profiles that add time to every node."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from gdws.planning.search.costs import Costs
from gdws.planning.search.evidence import LayerShare, Loss, Measurement, PointsLost, Profile, Timing
from gdws.planning.search.space import Choice, LayerOption, LayerOptions, Space, key_of

_MENU = (
    ("dense", "dense", 9.0, 1),
    ("stacked-1", "stacked", 1.0, 2),
    ("stacked-2", "stacked", 2.0, 4),
    ("stacked-4", "stacked", 4.0, 6),
    ("gather-1.5", "gather", 1.5, 5),
    ("gather-3", "gather", 3.0, 5),
)


def make_space(layers: int = 8, geometries: int = 3, seed: int = 0) -> Space:
    """Layers of ``geometries`` shapes in turns, each with six options of falling error."""
    drawn = random.Random(seed)
    return Space(tuple(_layer(number, number % geometries, drawn) for number in range(layers)))


def _layer(number: int, geometry: int, drawn: random.Random) -> LayerOptions:
    weight = drawn.uniform(0.5, 2.0)
    size = 1000 * (geometry + 1)
    options = tuple(
        LayerOption(
            name=name,
            ranks=None if name == "dense" else (round(rank),) * 4,
            layout=None if kind == "dense" else kind,
            macs=round(size * rank),
            error=0.0 if name == "dense" else weight * 0.01 * 2.0**-rank * drawn.uniform(0.9, 1.1),
        )
        for name, kind, rank, _ in _MENU
    )
    return LayerOptions(f"conv{number}", (f"conv{number}",), f"geometry-{geometry}", options)


@dataclass
class SimulatedMeter:
    """Answers as a device would; ``jobs`` counts what it was asked, so that a test sees that nothing is asked twice.

    ``pair_term`` is added for each pair of neighbours of different kinds, ``noise`` is the relative deviation of a
    ratio, ``overhead_ms`` what a profile adds to each node, on top of ``profile_scale``. ``pace`` is a factor of all
    times, as of a power mode; the power is ``mj_per_ms`` while a network runs and ``idle_w`` at rest. The 99th
    percentile is ``tail`` times the median. ``refusal`` is raised in place of any answer.
    """

    space: Space
    seed: int = 0
    pair_term: float = 0.05
    noise: float = 0.003
    overhead_ms: float = 0.02
    profile_scale: float = 1.3
    has_profiles: bool = True
    fastest: float = 0.15
    mj_per_ms: float | None = None
    pace: float = 1.0
    idle_w: float | None = None
    tail: float = 1.1
    refusal: Exception | None = None
    jobs: list[Choice] = field(default_factory=list)

    def __post_init__(self) -> None:
        drawn = random.Random(f"law {self.seed}")
        classes: dict[tuple[str, str], float] = {}
        for layer in self.space.layers:
            for option, (name, _, rank, _) in zip(layer.options, _MENU, strict=False):
                share = 1.0 if name == "dense" else self.fastest + rank * drawn.uniform(0.1, 0.2)
                classes.setdefault((layer.geometry, option.name), layer.options[0].macs / 9000 * share)
        pairs = {
            (one, other): self.pair_term * drawn.uniform(0.5, 1.5)
            for one in ("dense", "stacked", "gather")
            for other in ("dense", "stacked", "gather")
            if one != other
        }
        layers = tuple(tuple(classes[layer.geometry, o.name] for o in layer.options) for layer in self.space.layers)
        slowed = tuple(tuple(self.pace * cost for cost in costs) for costs in layers)
        terms = {pair: self.pace * cost for pair, cost in pairs.items()}
        self.law = Costs(self.space, self.pace * 0.7, slowed, terms)

    def time(self, choices: Sequence[Choice], *, thorough: bool = False, repeat: int = 0) -> Measurement:
        if self.refusal is not None:
            raise self.refusal
        self.jobs += choices
        dense = self.law.of(self.space.dense)
        timings = tuple(
            Timing(
                choice,
                ratio=self.law.of(choice) / dense * (1 + self._noise(choice, thorough)),
                relative_sd=max(self.noise, 1e-4),
                energy_mj=None if self.mj_per_ms is None else self.mj_per_ms * self.law.of(choice),
                energy_sd=None if self.mj_per_ms is None else max(self.noise, 1e-4),
                energy_ratio_sd=None if self.mj_per_ms is None else max(self.noise, 1e-4),
                tail_ms=self.tail * self.law.of(choice),
            )
            for choice in choices
        )
        return Measurement(
            timings,
            dense,
            None if self.mj_per_ms is None else self.mj_per_ms * dense,
            dense_sd=None if self.mj_per_ms is None else max(self.noise, 1e-4),
            dense_tail_ms=self.tail * dense,
            idle_w=self.idle_w,
        )

    def profile(self, choices: Sequence[Choice], *, repeat: int = 0) -> list[Profile] | None:
        if not self.has_profiles:
            return None
        return [self._profile(choice) for choice in choices]

    def _profile(self, choice: Choice) -> Profile:
        shares = {}
        for layer, index, costs in zip(self.space.layers, choice, self.law.layers, strict=True):
            nodes = _MENU[index][3]
            ms = self.profile_scale * costs[index] + nodes * self.overhead_ms
            shares[layer.name] = LayerShare(ms * (1 + 3 * self._noise(choice, layer.name)), nodes)
        return Profile(choice, shares, LayerShare(0.8, 3))

    def _noise(self, choice: Choice, what: object) -> float:
        return random.Random(f"{self.seed} {key_of(choice)} {what}").gauss(0.0, self.noise)


@dataclass
class SimulatedJudge:
    """Losses in proportion to the true error, which is off from the known one by ``bias`` from layer to layer."""

    space: Space
    points_per_error: float = 100.0
    bias: float = 0.2
    asked: list[Choice] = field(default_factory=list)

    def loss(self, choice: Choice, *, final: bool = False) -> Loss:
        self.asked.append(choice)
        error = sum(
            option.error * (1 + self.bias * (number % 3 - 1)) for number, option in enumerate(self.space.taken(choice))
        )
        points = self.points_per_error * error
        return Loss(
            PointsLost(0.5 * points, 0.5 * points - 0.2, 0.5 * points + 0.2, 1000),
            PointsLost(points, points - 0.4, points + 0.4, 1000),
        )
