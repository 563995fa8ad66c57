"""The goal for a network on a device, the accuracy that it may lose, and the effort that is spent."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from gdws.errors import GdwsError
from gdws.planning.search.evidence import Loss

#: Bounds on one inference or on images per second, how many times faster than dense, as fast as the accuracy limits
#: allow, a number of networks from dense to fastest, or the least energy of one inference, or of one period with its
#: rest, within a deadline.
GoalKind = Literal[
    "max_latency_ms",
    "min_fps",
    "min_speedup",
    "max_energy_mj",
    "fastest",
    "pareto",
    "least_energy",
    "least_period_energy",
]
GOALS: tuple[GoalKind, ...] = get_args(GoalKind)


@dataclass(frozen=True)
class Goal:
    """One kind with its ``value``, which ``fastest`` has none of. Raises :class:`~gdws.errors.GdwsError`."""

    kind: GoalKind
    value: float | None = None

    def __post_init__(self) -> None:
        if self.kind == "fastest":
            return
        if self.value is None or not (math.isfinite(self.value) and self.value > 0):
            raise GdwsError(f"{self.kind}: expected a positive number, got {self.value}")
        if self.kind == "min_speedup" and self.value <= 1:
            raise GdwsError(
                f"min_speedup: {self.value:g} is no gain over the dense network", hint="ask for more than 1"
            )
        if self.kind == "pareto" and self.value != round(self.value):
            raise GdwsError(f"pareto: expected a whole number of networks, got {self.value:g}")

    @property
    def is_of_energy(self) -> bool:
        """Whether it bounds or minimises energy, in millijoules, in place of time."""
        return self.kind == "max_energy_mj" or self.has_deadline

    @property
    def has_deadline(self) -> bool:
        """Whether it asks for the least energy within a deadline of ``value`` milliseconds."""
        return self.kind in ("least_energy", "least_period_energy")

    def bound(self, dense: float, batch_size: int) -> float | None:
        """The latency in milliseconds, or energy in millijoules, that a network may take; None for no bound.

        ``dense`` is what the dense network takes, at ``batch_size`` images an inference.
        """
        if self.value is None or self.kind == "pareto" or self.has_deadline:
            return None
        if self.kind == "min_fps":
            return 1e3 * batch_size / self.value
        return dense / self.value if self.kind == "min_speedup" else self.value

    def __str__(self) -> str:
        """E.g. ``at most 33 ms``."""
        value = f"{self.value or 0:g}"
        words = {
            "max_latency_ms": f"at most {value} ms",
            "min_fps": f"at least {value} images per second",
            "min_speedup": f"at least {value} times as fast as dense",
            "max_energy_mj": f"at most {value} mJ an inference",
            "fastest": "as fast as the accuracy limits allow",
            "pareto": f"{value} networks from dense to fastest",
            "least_energy": f"the least energy of an inference within {value} ms",
            "least_period_energy": f"the least energy of a period of {value} ms with one inference",
        }
        return words[self.kind]


@dataclass(frozen=True)
class AccuracyLimits:
    """Percentage points of accuracy that may be lost against the dense network; None where there is no limit."""

    natural_points: float | None = 1.0
    robust_points: float | None = 1.0

    def __post_init__(self) -> None:
        for name in ("natural_points", "robust_points"):
            points = getattr(self, name)
            if points is not None and not 0 <= points <= 100:
                raise GdwsError(f"{name}: {points:g} is not between 0 and 100 percentage points")

    def excess(self, loss: Loss) -> float:
        """The largest share of a limit that ``loss`` takes: at most 1 where the limits are kept."""
        pairs = [(self.natural_points, loss.natural), (self.robust_points, loss.robust)]
        shares = [
            max(lost.points, 0.0) / limit if limit else (0.0 if lost.points <= 0 else math.inf)
            for limit, lost in pairs
            if limit is not None and lost is not None
        ]
        return max(shares, default=0.0)


#: The bracket of an error is narrow enough when its ends are so close.
_NARROW = 1.15
#: A limit counts as used up from this share on.
_USED_UP = 0.9
#: An error is raised or lowered at most so many times at once.
_LARGEST_STEP = 4.0


def next_error(points: list[tuple[float, float]], least: float, most: float) -> float | None:
    """The error to try next so that the limits are just kept, or None when no further try would tell more.

    ``points`` are (error, excess) of networks that were judged. Losses rise with the error, about in proportion: that
    is how far a try goes beyond all former ones; between two it is interpolated on logarithms. Errors are between
    ``least``, that of the smallest change of the network, and ``most``, that of the cheapest network.
    """
    kept = [point for point in points if point[1] <= 1]
    beyond = [point for point in points if point[1] > 1]
    if not points:
        return math.sqrt(least * most)
    if not beyond:
        error, excess = max(kept)
        if error >= most or excess >= _USED_UP:
            return None
        return min(most, error * min(_LARGEST_STEP, 0.97 / max(excess, 0.05)))
    high, high_excess = min(beyond)
    low, low_excess = max((point for point in kept if point[0] < high), default=(0.0, 0.0))
    if low == 0.0:
        tried = high * max(1 / _LARGEST_STEP, 0.9 / high_excess)
        return tried if tried >= least else None
    if high / low < _NARROW or low_excess >= _USED_UP:
        return None
    below, above = math.log(max(low_excess, 0.1)), math.log(min(max(high_excess, 1.05), 100.0))
    place = min(max(-below / (above - below), 0.2), 0.8)
    return float(low * (high / low) ** place)


@dataclass(frozen=True)
class Effort:
    """How much is spent: ``rounds`` of corrections of the model, and ``judgements`` of accuracy.

    A ``bold`` search judges the cheapest network first. That saves judgements where they are dear and networks lose
    little, as those that are tuned do.
    """

    rounds: int = 4
    judgements: int = 6
    seed: int = 0
    bold: bool = False

    def next_error(self, points: list[tuple[float, float]], least: float, most: float) -> float | None:
        """As the function of this name, but for the first error."""
        return most if self.bold and not points else next_error(points, least, most)
