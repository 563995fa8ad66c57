"""What an attack was: plain data that goes into every result."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from gdws.errors import GdwsError


@dataclass(frozen=True)
class AttackSpec:
    """A projected gradient attack on images in [0, 1].

    ``eps`` is the radius of the ball and ``step`` the step size, both in pixel units;
    ``restarts`` counts the runs, the first included; ``seed`` fixes the random starts.
    The defaults are the evaluation protocol of the MNIST sample: PGD-40 at 0.2.
    """

    name: str = "pgd"
    norm: str = "linf"
    eps: float = 0.2
    step: float = 0.02
    iterations: int = 40
    random_start: bool = True
    restarts: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if (self.name, self.norm) != ("pgd", "linf"):
            raise GdwsError(f"there is no attack {self.name!r} in the norm {self.norm!r}", hint="use pgd in linf")
        _require(math.isfinite(self.eps) and 0 <= self.eps <= 1, "eps", self.eps, "in [0, 1]")
        _require(math.isfinite(self.step) and self.step > 0, "step", self.step, "greater than 0")
        _require(self.iterations >= 1, "iterations", self.iterations, "at least 1")
        _require(self.restarts >= 1, "restarts", self.restarts, "at least 1")

    def __str__(self) -> str:
        start = "random start" if self.random_start else "zero start"
        runs = "" if self.restarts == 1 else f", {self.restarts} restarts"
        return f"PGD-{self.iterations} (l_inf, eps {self.eps:g}, step {self.step:g}, {start}{runs})"

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, ready for JSON."""
        return dataclasses.asdict(self)


def _require(holds: bool, field: str, value: object, rule: str) -> None:
    if not holds:
        raise GdwsError(f"the attack's {field} is {value}", hint=f"{field} must be {rule}")
