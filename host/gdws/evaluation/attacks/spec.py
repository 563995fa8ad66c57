"""Specifications of attacks as plain data, which go into every result."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gdws.errors import GdwsError

#: Attacks by name, and the norms of their balls.
#: ``pgd``: steps of fixed size. ``apgd``: step sizes that adapt, first on the cross-entropy, then towards nine other
#: classes. ``autoattack``: the four attacks of AutoAttack's standard version.
NORMS: Mapping[str, tuple[str, ...]] = {
    "pgd": ("linf", "l2", "l1"),
    "apgd": ("linf", "l2"),
    "autoattack": ("linf", "l2"),
}
UNION = "union"
_WRITTEN = {"linf": "l_inf", "l2": "l_2", "l1": "l_1"}
_TITLES = {"pgd": "PGD", "apgd": "APGD", "autoattack": "AutoAttack"}


@dataclass(frozen=True)
class AttackSpec:
    """An attack on images in [0, 1] within a ball of one norm; see :data:`NORMS` for names and norms.

    ``eps`` is the radius of the ball and ``step`` the length of a step in the same norm, both in pixel units; ``step``
    is None where the attack adapts it. ``restarts`` counts the runs, the first included; ``seed`` fixes all draws.
    Runs start at random points of the ball; without ``random_start`` the first one starts at the image.
    The defaults are the evaluation protocol of the MNIST sample: PGD-40 at 0.2.
    """

    name: str = "pgd"
    norm: str = "linf"
    eps: float = 0.2
    step: float | None = 0.02
    iterations: int = 40
    random_start: bool = True
    restarts: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.norm not in NORMS.get(self.name, ()):
            known = "; ".join(f"{name} in {', '.join(norms)}" for name, norms in NORMS.items())
            raise GdwsError(f"there is no attack {self.name!r} in the norm {self.norm!r}", hint=f"use one of: {known}")
        bounded = math.isfinite(self.eps) and self.eps >= 0
        if self.norm == "linf":
            _require(bounded and self.eps <= 1, "eps", self.eps, "in [0, 1]")
        _require(bounded, "eps", self.eps, "at least 0 and finite")
        if self.name == "pgd":
            _require(
                self.step is not None and math.isfinite(self.step) and self.step > 0,
                "step",
                self.step,
                "greater than 0",
            )
        elif self.step is not None:
            raise GdwsError(f"{self.name} adapts its step size, so step cannot be {self.step:g}", hint="leave out step")
        _require(self.iterations >= 1, "iterations", self.iterations, "at least 1")
        _require(self.restarts >= 1, "restarts", self.restarts, "at least 1")

    def __str__(self) -> str:
        starts = [f"l_inf, eps {self.eps:g}".replace("l_inf", _WRITTEN[self.norm])]
        if self.name == "pgd":
            starts += [f"step {self.step:g}", "random start" if self.random_start else "zero start"]
        runs = [] if self.restarts == 1 else [f"{self.restarts} restarts"]
        return f"{_TITLES[self.name]}-{self.iterations} ({', '.join([*starts, *runs])})"

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, ready for JSON."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class UnionSpec:
    """Several attacks: an image is robust if it resists them all (Maini et al., 2020, arXiv:1909.04068)."""

    parts: tuple[AttackSpec, ...]

    def __post_init__(self) -> None:
        if len(self.parts) < 2:
            raise GdwsError(f"a union cannot have {len(self.parts)} attacks", hint="give at least two")
        if len({part.seed for part in self.parts}) > 1:
            raise GdwsError("the attacks of a union have different seeds", hint="use the same seed for all")

    @property
    def seed(self) -> int:
        """The seed of all parts."""
        return self.parts[0].seed

    def __str__(self) -> str:
        return f"the union of {'; '.join(map(str, self.parts))}"

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, ready for JSON; radius and steps are those of the parts."""
        return {
            "name": UNION,
            "norm": "+".join(part.norm for part in self.parts),
            "eps": None,
            "seed": self.seed,
            "parts": [part.to_dict() for part in self.parts],
        }


#: Any attack that can be run, see :func:`gdws.evaluation.attacks.run.perturb`.
Spec = AttackSpec | UnionSpec


def is_void(spec: Spec) -> bool:
    """Whether the radius is zero, so that no image can change."""
    parts = spec.parts if isinstance(spec, UnionSpec) else (spec,)
    return all(part.eps == 0 for part in parts)


def from_dict(content: Mapping[str, Any]) -> Spec:
    """The attack from the fields of ``to_dict``. Raises :class:`GdwsError` for invalid values."""
    if content.get("name") == UNION:
        return UnionSpec(tuple(AttackSpec(**part) for part in content["parts"]))
    return AttackSpec(**content)


def _require(holds: bool, field: str, value: object, rule: str) -> None:
    if not holds:
        raise GdwsError(f"the attack's {field} is {value}", hint=f"{field} must be {rule}")
