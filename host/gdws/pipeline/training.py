"""The initial GDWS network of a fine-tuning."""

from __future__ import annotations

from dataclasses import replace

from gdws._util.progress import SILENT, Progress
from gdws.datasets import Split
from gdws.errors import GdwsError
from gdws.evaluation.attacks import AttackSpec
from gdws.networks.sources import Source
from gdws.pipeline.conversion import convert_fitted
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
    attack = AttackSpec(eps=settings.eps, seed=settings.seed) if settings.eps > 0 else None
    [_, made] = convert_fitted(source, recipes, images, attack, plans=plans, progress=progress)
    return replace(source, module=made.module, plan=made.plan)
