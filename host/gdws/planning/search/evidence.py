"""What is known of a device and of accuracies, and the interfaces of what measures them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gdws.planning.search.space import Choice
from gdws_contract.measures import Interval
from gdws_contract.memory import Memory


@dataclass(frozen=True)
class LayerShare:
    """What a profile gives one layer: time in milliseconds, and the number of nodes that the runtime ran for it."""

    ms: float
    nodes: int


@dataclass(frozen=True)
class Profile:
    """Where one network spends its time.

    ``shares`` are by the name of the layer. ``rest`` is all that belongs to no layer of the space, and ``unmapped``
    names what was fused of several of them, whose time is in the rest, too.
    """

    choice: Choice
    shares: Mapping[str, LayerShare]
    rest: LayerShare
    unmapped: tuple[str, ...] = ()

    @property
    def ms(self) -> float:
        """The time of the whole network."""
        return self.rest.ms + sum(share.ms for share in self.shares.values())

    @property
    def nodes(self) -> int:
        """The number of all nodes."""
        return self.rest.nodes + sum(share.nodes for share in self.shares.values())


@dataclass(frozen=True)
class Timing:
    """One network, timed in turns with the dense one.

    ``ratio`` is its latency over that of the dense network, ``relative_sd`` the standard error of that ratio.
    ``energy_mj`` is per inference, with its relative standard error ``energy_sd``, and ``energy_ratio_sd`` that of its
    ratio to the dense network's, round by round; None where power was not measured. ``memory`` is None from agents that
    do not measure it. ``tail_ms`` is the latency that deadlines are held against: the 99th percentile, or of fewer
    samples than that needs the longest.
    """

    choice: Choice
    ratio: float
    relative_sd: float
    energy_mj: float | None = None
    memory: Memory | None = None
    energy_sd: float | None = None
    energy_ratio_sd: float | None = None
    tail_ms: float | None = None

    def speedup(self, z: float = 1.96) -> Interval:
        """How many times faster than dense, as an interval of ``z`` standard errors."""
        return Interval(
            low=(1 - z * self.relative_sd) / self.ratio if z * self.relative_sd < 1 else 0.0,
            high=(1 + z * self.relative_sd) / self.ratio,
            method="paired-rounds",
        )

    def energy_interval(self, z: float = 1.96) -> Interval | None:
        """The energy in millijoules as an interval of ``z`` standard errors; None where it is not known."""
        return None if self.energy_mj is None else energy_interval(self.energy_mj, self.energy_sd, z)

    def times_longer(self, z: float = 1.96) -> int | None:
        """How many times as long a measurement would show that it is faster; None if it shows that, or is not."""
        margin = z * self.relative_sd
        if not 1 - margin < self.ratio < 1:
            return None
        return math.ceil((margin / (1 - self.ratio)) ** 2)


def energy_interval(energy_mj: float, sd: float | None, z: float = 1.96) -> Interval:
    """An energy as an interval of ``z`` relative standard errors; without one it is taken as exact."""
    margin = z * (sd or 0.0) * energy_mj
    return Interval(low=energy_mj - margin, high=energy_mj + margin, method="rounds and power readings")


@dataclass(frozen=True)
class Measurement:
    """Networks that took turns on the device with the dense one, which takes ``dense_ms`` and ``dense_mj``.

    ``dense_sd`` is the relative standard error of the latter, ``dense_tail_ms`` as :attr:`Timing.tail_ms`. ``idle_w``
    is the power of the device at rest; None where it was not measured. ``doubts`` are sentences by code.
    """

    timings: tuple[Timing, ...]
    dense_ms: float
    dense_mj: float | None = None
    dense_memory: Memory | None = None
    doubts: Mapping[str, str] = field(default_factory=dict)
    dense_sd: float | None = None
    dense_tail_ms: float | None = None
    idle_w: float | None = None


@dataclass(frozen=True)
class PointsLost:
    """What is lost against the dense network on the same images, in percentage points, with 95 % limits if known."""

    points: float
    low: float | None
    high: float | None
    images: int

    def __str__(self) -> str:
        """E.g. ``0.4 points (-0.2 to 1.0)``."""
        points = f"{_rounded(self.points)} points"
        if self.low is None or self.high is None:
            return points
        return f"{points} ({_rounded(self.low)} to {_rounded(self.high)})"


def _rounded(points: float) -> str:
    return f"{round(points, 1) + 0.0:.1f}"  # never -0.0


@dataclass(frozen=True)
class Loss:
    """What a network loses; ``robust`` is None if no attack is run.

    ``natural`` is of natural accuracy, or of ``agreement`` with the dense network where that has a name: networks that
    are not classifiers.
    """

    natural: PointsLost
    robust: PointsLost | None
    agreement: str | None = None

    def in_words(self) -> str:
        """E.g. ``0.4 points (-0.2 to 1.0) of natural accuracy``, and the same of robust accuracy if there is any."""
        if self.agreement is not None:
            return f"{self.natural} of {self.agreement}"
        parts = [f"{self.natural} of natural accuracy"]
        if self.robust is not None:
            parts.append(f"{self.robust} of robust accuracy")
        return " and ".join(parts)


class Meter(Protocol):
    """A device. Repeated requests are answered from earlier results."""

    def time(self, choices: Sequence[Choice], *, thorough: bool = False, repeat: int = 0) -> Measurement:
        """Time networks in turns with the dense one. Those that cannot be timed are left out, and told in doubts.

        With another number ``repeat`` the same is measured once more.
        """

    def profile(self, choices: Sequence[Choice], *, repeat: int = 0) -> list[Profile] | None:
        """Profiles of networks; None from a runtime that has none. ``repeat`` as for :meth:`time`."""


class Judge(Protocol):
    """The accuracy of networks. Repeated requests are answered from earlier results."""

    def loss(self, choice: Choice, *, final: bool = False) -> Loss:
        """What a network loses on the images that choices are made on, or on those of the ``final`` figures."""
