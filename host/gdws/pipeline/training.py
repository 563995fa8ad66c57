"""The initial network of a fine-tuning."""

from __future__ import annotations

from dataclasses import replace

from gdws._util.progress import SILENT, Progress
from gdws.bundles.variant import Variant
from gdws.datasets import Split
from gdws.errors import GdwsError
from gdws.evaluation.attacks import AttackSpec
from gdws.networks import converted
from gdws.networks.sources import Source
from gdws.onnx_io.int8 import Int8Settings
from gdws.pipeline.conversion import convert_fitted
from gdws.pipeline.quantisation import range_images, with_int8
from gdws.planning.recipe import Recipe
from gdws.training import FinetuneSettings
from gdws_contract.plan import Plan


def finetuning_start(
    source: Source,
    by: Recipe | Plan | None,
    images: Split,
    settings: FinetuneSettings,
    *,
    progress: Progress = SILENT,
) -> Source:
    """``source`` as a GDWS network with its plan: as it is if it has one, else converted by a recipe or a stored plan.

    A data-aware one is fitted to ``images`` under the attack of the training. Raises
    :class:`~gdws.errors.GdwsError` if ``by`` is missing or not needed, and what :func:`gdws.convert` raises.
    """
    if source.plan is not None:
        if by is not None:
            raise GdwsError(f"{source.name} is already converted", hint="leave out --mean-rank and --plan")
        return source
    if by is None:
        raise GdwsError(f"{source.name} is a dense network", hint="convert it first: give --mean-rank or --plan")
    recipes, plans = ([by], {}) if isinstance(by, Recipe) else ([], {"planned": by})
    [_, made] = convert_fitted(source, recipes, images, _attack(settings), plans=plans, progress=progress)
    return replace(source, module=made.module, plan=made.plan)


def quantised_start(
    source: Source,
    by: Recipe | Plan | None,
    images: Split,
    settings: FinetuneSettings,
    int8: Int8Settings,
    *,
    progress: Progress = SILENT,
) -> Variant:
    """``source`` in INT8, as a GDWS network if it has a plan or is converted ``by`` one, else dense.

    Ranges and a data-aware conversion are found from ``images`` and the attack of the training. Raises as
    :func:`finetuning_start` and :func:`gdws.pipeline.with_int8`.
    """
    if source.plan is not None or by is not None:
        source = finetuning_start(source, by, images, settings, progress=progress)
    steps = () if source.plan is None else converted.steps_of(source.plan, source.provenance)
    seen = range_images(source, images, _attack(settings), progress=progress)
    [_, found] = with_int8([Variant(source.name, source.module, steps)], source, seen, int8, progress=progress)
    return found


def _attack(settings: FinetuneSettings) -> AttackSpec | None:
    """The attack that a fine-tuning is against; None for natural training."""
    return AttackSpec(eps=settings.eps, seed=settings.seed) if settings.eps > 0 else None
