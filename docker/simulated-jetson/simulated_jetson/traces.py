"""Power of the module over time, as functions of time and load.

A trace is written on the command line as ``kind`` or ``kind:name=value,...``:

    constant:power_w=15
    square:low_w=5,high_w=25,period_s=4,duty=0.5    high first
    ramp:low_w=5,high_w=25,period_s=20              rises over the period, then falls back at once
    load:idle_w=6,busy_w=28                         follows the processor load of this machine, and the share of the
                                                    board's processor cycles that the power mode allows
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Protocol


class Trace(Protocol):
    """Power of the whole module."""

    def power_w(self, time_s: float, load: float) -> float:
        """Return the power in W, ``time_s`` after the start, at a ``load`` between 0 and 1."""
        ...


@dataclass(frozen=True)
class Constant:
    """``level_w`` at all times."""

    level_w: float = 15.0

    def power_w(self, time_s: float, load: float) -> float:
        return self.level_w


@dataclass(frozen=True)
class Square:
    """``high_w`` for the first ``duty`` of each period, ``low_w`` for the rest."""

    low_w: float = 5.0
    high_w: float = 25.0
    period_s: float = 4.0
    duty: float = 0.5

    def power_w(self, time_s: float, load: float) -> float:
        return self.high_w if time_s % self.period_s < self.duty * self.period_s else self.low_w


@dataclass(frozen=True)
class Ramp:
    """From ``low_w`` to ``high_w`` in a straight line over each period."""

    low_w: float = 5.0
    high_w: float = 25.0
    period_s: float = 20.0

    def power_w(self, time_s: float, load: float) -> float:
        return self.low_w + (self.high_w - self.low_w) * (time_s % self.period_s) / self.period_s


@dataclass(frozen=True)
class LoadFollowing:
    """Between ``idle_w`` and ``busy_w``, in proportion to the load.

    The load is of the whole board: in a mode with fewer or slower cores a busy machine draws less. Its speed is that of
    this machine in every mode.
    """

    idle_w: float = 6.0
    busy_w: float = 28.0

    def power_w(self, time_s: float, load: float) -> float:
        return self.idle_w + (self.busy_w - self.idle_w) * load


KINDS = {"constant": Constant, "square": Square, "ramp": Ramp, "load": LoadFollowing}


def parse(text: str) -> Trace:
    """Return the trace that ``text`` describes.

    Raises:
        ValueError: the kind or a parameter is unknown, or a value is not a usable number.
    """
    kind, _, settings = text.partition(":")
    if kind not in KINDS:
        raise ValueError(f"no trace {kind!r}; there are {', '.join(KINDS)}")
    names = [field.name for field in dataclasses.fields(KINDS[kind])]
    values: dict[str, float] = {}
    for setting in filter(None, settings.split(",")):
        name, _, number = setting.partition("=")
        if name not in names:
            raise ValueError(f"{kind} has no {name!r}; it has {', '.join(names)}")
        values[name] = _number(name, number)
    trace: Trace = KINDS[kind](**values)
    return trace


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{name}={text!r} is not a number") from None
    if not math.isfinite(value) or value < 0 or (name == "period_s" and value == 0) or (name == "duty" and value > 1):
        raise ValueError(f"{name}={text} is out of range")
    return value
