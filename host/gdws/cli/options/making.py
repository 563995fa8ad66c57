"""From the options of ``plan`` and ``convert`` to networks, which both make in the same way."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gdws.cli.options.common import LayoutName, MethodName
from gdws.errors import GdwsError

if TYPE_CHECKING:
    from gdws.algorithms.plan import Plan
    from gdws.datasets import Split
    from gdws.pipeline import Alphas, Recipe, Source


def alphas_from(text: str) -> int | Path:
    """What ``--alphas`` names: a number of images, or a file. Raises :class:`GdwsError` if it is neither."""
    if text.isascii() and text.isdigit():
        return int(text)
    if not Path(text).is_file():
        raise GdwsError(f"--alphas {text!r} is neither a number of images nor a file", hint="e.g. --alphas 64")
    return Path(text)


def channel_weights(
    source: Source, given: int | Path, images: Callable[[int], Split], **calibration: Any
) -> Alphas | None:
    """Alphas from the file that is given, or by ``calibration`` from so many ``images``; None for no image."""
    from gdws import pipeline
    from gdws.networks import checkpoints

    if isinstance(given, Path):
        return checkpoints.read_alphas(given).alphas
    return pipeline.calibrate_alphas(source, images(given), **calibration) if given else None


def recipes(
    mean_ranks: list[float] | None,
    betas: list[float] | None,
    gammas: list[int] | None,
    layouts: list[LayoutName] | None,
    *,
    budgets: list[float] | None = None,
    mac_savings: list[float] | None = None,
    equal_ranks: list[int] | None = None,
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
            *(common(budget=budget, layout=layout, method=method) for budget in budgets or []),
            *(common(mac_saving=saving, layout=layout, method=method) for saving in mac_savings or []),
            *(common(equal_rank=rank, layout=layout, method=method) for rank in equal_ranks or []),
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
