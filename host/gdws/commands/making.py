"""From the options of ``plan`` and ``convert`` to networks, which both make in the same way."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gdws.commands.options import LayoutName, MethodName
from gdws.errors import GdwsError

if TYPE_CHECKING:
    from gdws.algorithms.plan import Plan
    from gdws.pipeline import Recipe


def recipes(
    mean_ranks: list[float] | None,
    betas: list[float] | None,
    gammas: list[int] | None,
    layouts: list[LayoutName] | None,
    *,
    methods: list[MethodName] | None = None,
    weighted: bool,
    skip: list[str] | None,
) -> list[Recipe]:
    """One recipe for each constraint in each layout by each method; by weights alone unless told otherwise."""
    from gdws.pipeline import Recipe

    common = partial(Recipe, weighted=weighted, skip=tuple(skip or ()))

    return [
        recipe
        for method in (name.value for name in methods or [MethodName.weights])
        for layout in (name.value for name in layouts or [LayoutName.gather])
        for recipe in (
            *(common(mean_rank=budget, layout=layout, method=method) for budget in mean_ranks or []),
            *(common(beta=budget, layout=layout, method=method) for budget in betas or []),
            *(common(gamma=budget, layout=layout, method=method) for budget in gammas or []),
        )
    ]


def read_plans(paths: list[Path] | None) -> dict[str, Plan]:
    """Plans by the stem of their files. Raises OSError, or PlanFormatError naming the field."""
    from gdws.algorithms.plan import Plan

    plans: dict[str, Plan] = {}
    for path in paths or []:
        if path.stem in plans:
            raise GdwsError(f"two plans are called {path.stem!r}", hint="rename one of the files")
        plans[path.stem] = Plan.from_json(path.read_bytes())
    return plans
