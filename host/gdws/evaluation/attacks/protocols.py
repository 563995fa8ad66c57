"""Attacks as the literature runs them, by data set: radii, steps and restarts.

- ``mnist``: the l_inf attack of this project's MNIST sample; l_2 and l_1 with the radii of Maini et al. (2020).
- ``fashion-mnist``: l_inf of radius 0.1, PGD-40 with step 0.01, as is usual; the other norms, for which nothing is
  usual, have half of MNIST's radii, as l_inf has.
- ``cifar10``: l_inf as in the GDWS paper (8/255, PGD-100 with step 1/255; also for SVHN); l_2 of radius 0.5, as
  RobustBench has it; l_1 of radius 12, as Maini et al. have it.
- ``imagenet``: l_inf as in the GDWS paper (4/255, PGD-50), whose step is not published: 1/255 as in HYDRA; l_2 of 3.
- ``msd``: the union of Maini et al. (2020, arXiv:1909.04068) on CIFAR-10, of which they take the first 1,000 test
  images: a start at the image and ten random ones in each norm. The step in l_inf is not published: a tenth of eps.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from gdws.errors import GdwsError
from gdws.evaluation.attacks.spec import UNION, AttackSpec, Spec, UnionSpec

PROTOCOLS: Mapping[str, Sequence[AttackSpec]] = {
    "mnist": (
        AttackSpec(norm="linf", eps=0.2, step=0.02, iterations=40),
        AttackSpec(norm="l2", eps=2.0, step=0.1, iterations=100),
        AttackSpec(norm="l1", eps=10.0, step=1.0, iterations=100),
    ),
    "fashion-mnist": (
        AttackSpec(norm="linf", eps=0.1, step=0.01, iterations=40),
        AttackSpec(norm="l2", eps=1.0, step=0.05, iterations=100),
        AttackSpec(norm="l1", eps=5.0, step=0.5, iterations=100),
    ),
    "cifar10": (
        AttackSpec(norm="linf", eps=8 / 255, step=1 / 255, iterations=100),
        AttackSpec(norm="l2", eps=0.5, step=0.0125, iterations=100),
        AttackSpec(norm="l1", eps=12.0, step=1.0, iterations=100),
    ),
    "imagenet": (
        AttackSpec(norm="linf", eps=4 / 255, step=1 / 255, iterations=50),
        AttackSpec(norm="l2", eps=3.0, step=0.15, iterations=50),
    ),
    "msd": (
        AttackSpec(norm="linf", eps=0.03, step=0.003, iterations=100, random_start=False, restarts=11),
        AttackSpec(norm="l2", eps=0.5, step=0.01, iterations=500, random_start=False, restarts=11),
        AttackSpec(norm="l1", eps=12.0, step=1.0, iterations=100, random_start=False, restarts=11),
    ),
}

#: The protocol of each data set by name; others have none.
_BY_DATA = {
    "mnist-sample": "mnist",
    "mnist": "mnist",
    "fashion-mnist": "fashion-mnist",
    "cifar10": "cifar10",
    "svhn": "cifar10",
    "imagenet": "imagenet",
}

#: Iterations of APGD in AutoAttack's standard version.
_ADAPTIVE_ITERATIONS = 100


def is_known(data: str) -> bool:
    """Whether a data set has a protocol."""
    return data in _BY_DATA


def for_data(data: str) -> str:
    """The protocol of a data set. Raises :class:`GdwsError` if there is none."""
    if data not in _BY_DATA:
        known = ", ".join(PROTOCOLS)
        raise GdwsError(
            f"there is no protocol for {data!r}", hint=f"use --attack none, or --protocol with one of {known}"
        )
    return _BY_DATA[data]


def names() -> list[str]:
    """The names of attacks; without a suffix, as in ``apgd``, the norm is l_inf."""
    return ["pgd", "pgd-l2", "pgd-l1", "apgd", "apgd-l2", "autoattack", "autoattack-l2", UNION]


def attack(
    name: str,
    protocol: str,
    *,
    eps: float | None = None,
    step: float | None = None,
    iterations: int | None = None,
    random_start: bool | None = None,
    restarts: int | None = None,
    seed: int = 0,
) -> Spec:
    """The attack ``name`` with the settings of ``protocol``, overridden by those given.

    Raises :class:`GdwsError` for an invalid name, protocol or setting.
    """
    if protocol not in PROTOCOLS:
        raise GdwsError(f"there is no protocol {protocol!r}", hint=f"use one of {', '.join(PROTOCOLS)}")
    if name == UNION:
        if (eps or 0.0) > 0 or step is not None:
            raise GdwsError("each attack of the union has its own radius and step", hint="choose --protocol instead")
        changes = _given(eps=eps, iterations=iterations, random_start=random_start, restarts=restarts, seed=seed)
        return UnionSpec(tuple(dataclasses.replace(part, **changes) for part in PROTOCOLS[protocol]))
    kind, _, norm = name.partition("-")
    if name != f"{kind}-linf" and name not in names():
        raise GdwsError(f"there is no attack {name!r}", hint=f"use none or one of {', '.join(names())}")
    base = next((part for part in PROTOCOLS[protocol] if part.norm == (norm or "linf")), None)
    if base is None:
        raise GdwsError(f"the protocol {protocol} has no attack in {norm}", hint="choose another --protocol")
    if kind != "pgd":
        base = AttackSpec(name=kind, norm=base.norm, eps=base.eps, step=None, iterations=_ADAPTIVE_ITERATIONS)
    changes = _given(eps=eps, step=step, iterations=iterations, random_start=random_start, restarts=restarts, seed=seed)
    return dataclasses.replace(base, **changes)


def gentle(spec: Spec, *, iterations: int) -> AttackSpec:
    """A few long steps of PGD in the ball of ``spec``, the first one of a union: enough to see what layers meet."""
    base = spec.parts[0] if isinstance(spec, UnionSpec) else spec
    few = min(base.iterations, iterations)
    step = base.eps / 5 if base.eps > 0 else 1.0
    return AttackSpec(norm=base.norm, eps=base.eps, step=step, iterations=few, seed=base.seed)


def shortened(spec: Spec, *, iterations: int) -> Spec:
    """``spec`` itself if it is no more than ``iterations`` steps of PGD, else so many in the same ball or balls."""
    if isinstance(spec, UnionSpec):
        return UnionSpec(tuple(_shortened(part, iterations) for part in spec.parts))
    return _shortened(spec, iterations)


def _shortened(spec: AttackSpec, iterations: int) -> AttackSpec:
    is_short = spec.name == "pgd" and spec.iterations * spec.restarts <= iterations
    return spec if is_short else gentle(spec, iterations=iterations)


def one_step(spec: Spec) -> AttackSpec:
    """One step of PGD, 1.25 eps far, from a random start in the ball of ``spec``: what fast adversarial training takes.

    After Wong et al. (2020, arXiv:2001.03994); of a union the first ball.
    """
    base = gentle(spec, iterations=1)
    return dataclasses.replace(base, step=1.25 * base.eps if base.eps > 0 else 1.0)


def _given(**settings: Any) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if value is not None}
