"""Converts a network into the variants of a bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from gdws._util.progress import SILENT, Progress
from gdws.bundles.variant import BASELINE, GdwsStep, Variant
from gdws.compression.fitting import Calibration
from gdws.datasets import Split
from gdws.errors import GdwsError
from gdws.evaluation.attacks import Spec
from gdws.networks import converted, quantised
from gdws.networks.sources import Source
from gdws.pipeline.calibration import Alphas, calibration_images, require_usable
from gdws.planning.conversion import convert
from gdws.planning.recipe import Recipe
from gdws_contract.plan import Method, Plan


def convert_all(
    source: Source,
    recipes: Sequence[Recipe],
    *,
    plans: Mapping[str, Plan] | None = None,
    weights: Alphas | None = None,
    data: Tensor | None = None,
    convert_first: bool = False,
    progress: Progress = SILENT,
) -> list[Variant]:
    """The dense network, then one GDWS network for each recipe and each of ``plans``, which are given by name.

    ``weights`` are the alphas, ``data`` the calibration images (N, C, H, W) that recipes and plans may ask for.
    Raises :class:`~gdws.errors.GdwsError` if two would have one name, and what :func:`gdws.convert` raises.
    """
    require_usable(source)
    if source.plan is not None:
        if recipes or plans:
            raise GdwsError(f"{source.name} is already converted", hint="give the original network")
        return [Variant(source.name, source.module, (GdwsStep(source.plan),))]
    variants = [Variant(BASELINE, source.module)]
    shared = None if data is None else Calibration(source.module, data, source.task.projection(source.module, data))
    for recipe in recipes:
        module, plan = convert(
            source.module,
            recipe.budget,
            alphas=weights if recipe.method == "weights" and recipe.weighted else None,
            data=_data_for(recipe.method, shared),
            layout=recipe.layout,
            skip=recipe.skip,
            convert_first=convert_first,
            example_input=source.input_shape,
            progress=progress,
        )
        variants.append(Variant(recipe.name, module, (GdwsStep(plan),)))
    for name, plan in (plans or {}).items():
        module, _ = convert(source.module, plan=plan, data=_data_for(plan.method, shared), progress=progress)
        variants.append(Variant(name, module, (GdwsStep(plan),)))
    names = [variant.name for variant in variants]
    for name in names:
        if names.count(name) > 1:
            raise GdwsError(f"two networks would have the name {name!r}", hint="request each network only once")
    return variants


def convert_fitted(
    source: Source,
    recipes: Sequence[Recipe],
    images: Split,
    attack: Spec | None,
    *,
    plans: Mapping[str, Plan] | None = None,
    weights: Alphas | None = None,
    convert_first: bool = False,
    progress: Progress = SILENT,
) -> list[Variant]:
    """:func:`convert_all`, with :func:`calibration_images` from ``images`` where a network is to be data-aware."""
    data = None
    methods = {recipe.method for recipe in recipes} | {plan.method for plan in (plans or {}).values()}
    if "data-aware" in methods:
        data = calibration_images(source, images, attack, progress=progress)
    return convert_all(
        source, recipes, plans=plans, weights=weights, data=data, convert_first=convert_first, progress=progress
    )


def with_tuned(variants: Sequence[Variant], source: Source, paths: Sequence[Path]) -> list[Variant]:
    """``variants`` and the networks of ``source`` in files that ``gdws finetune`` wrote, under the files' names.

    Raises :class:`~gdws.errors.GdwsError` if a name is taken, and what :func:`gdws.networks.converted.load` and
    :func:`gdws.networks.quantised.load` raise.
    """
    found = list(variants)
    for path in paths:
        if path.stem in {variant.name for variant in found}:
            raise GdwsError(f"two networks would have the name {path.stem!r}", hint="rename the file")
        if path.suffix == quantised.SUFFIX:
            found.append(quantised.load(path, dense=source))
            continue
        tuned = converted.load(path, dense=source)
        found.append(Variant(path.stem, tuned.module, tuned.steps))
    return found


def _data_for(method: Method, data: Calibration | None) -> Calibration | None:
    if method == "weights":
        return None
    if data is None:
        raise GdwsError("a data-aware network was requested, but there are no calibration images")
    return data
