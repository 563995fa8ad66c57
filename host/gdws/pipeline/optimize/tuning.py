"""Networks are brought nearer to the dense one before they are judged, so that bolder plans keep the limits."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gdws._util.gradients import differentiable
from gdws._util.progress import SILENT, Progress
from gdws.bundles.variant import Step, Variant
from gdws.datasets import Dataset
from gdws.errors import GdwsError
from gdws.evaluation.attacks import AttackSpec, Spec
from gdws.evaluation.tasks import Classification
from gdws.networks import converted
from gdws.networks.sources import Source
from gdws.training import DistillSettings, FinetuneSettings, distill, finetune, state_path
from gdws_contract.plan import Plan
from gdws_contract.steps import DistillStep, FineTuneStep

#: Images that choose the epoch of a fine-tuning.
_VALIDATION_IMAGES = 500


@dataclass(frozen=True)
class Tuning:
    """Distillation, then fine-tuning; at least one of them. Raises :class:`~gdws.errors.GdwsError` for neither."""

    distill: DistillSettings | None = None
    finetune: FinetuneSettings | None = None

    def __post_init__(self) -> None:
        if self.distill is None and self.finetune is None:
            raise GdwsError("there is nothing to tune by", hint="give steps of distillation or epochs of fine-tuning")

    def key(self) -> list[Any]:
        """What tuned networks depend on beside plan and images, as JSON values."""
        return [None if each is None else each.to_dict() for each in (self.distill, self.finetune)]

    def steps(self, data: Dataset) -> tuple[Step, ...]:
        """What is done, as a bundle tells it."""
        found: list[Step] = []
        if self.distill is not None:
            images = f"{self.distill.images_of(len(data.train))} images of {data.name}, train"
            found.append(DistillStep(steps=self.distill.steps, data=images))
        if self.finetune is not None:
            found.append(FineTuneStep(epochs=self.finetune.epochs, data=data.name))
        return tuple(found)


def finetuning_against(attack: Spec | None, epochs: int, *, seed: int) -> FinetuneSettings:
    """Fine-tuning for ``epochs`` against ``attack``, natural training without one.

    Raises :class:`~gdws.errors.GdwsError` for attacks that it does not train against: unions, norms other than l_inf.
    """
    if attack is None:
        eps = 0.0
    elif isinstance(attack, AttackSpec) and attack.norm == "linf":
        eps = attack.eps
    else:
        raise GdwsError(
            f"fine-tuning trains against l_inf, not {attack}", hint="leave --finetune out, or take --distill"
        )
    return FinetuneSettings(epochs=epochs, eps=eps, validation_images=_VALIDATION_IMAGES, seed=seed)


def require_tunable(source: Source) -> None:
    """Raise :class:`~gdws.errors.GdwsError` for a network that is not a classifier, or has no gradients."""
    if not isinstance(source.task, Classification):
        raise GdwsError(
            f"networks are tuned by the classes they give, and {source.name} is not a classifier",
            hint="leave out --distill and --finetune",
        )
    if not differentiable(source.module):
        raise GdwsError(
            f"{source.name} has no gradients, which tuning descends along",
            hint="leave out --distill and --finetune, or give the network as a torch module (--module)",
        )


def tuned(
    variant: Variant,
    plan: Plan,
    tuning: Tuning,
    source: Source,
    data: Dataset,
    path: Path,
    *,
    progress: Progress = SILENT,
) -> Variant:
    """``variant``, a GDWS network by ``plan``, tuned; from the file at ``path`` if it is there, which is written else.

    After an interruption distillation goes on within half a minute of it, fine-tuning after the last epoch. Raises what
    :func:`gdws.training.distill` and :func:`gdws.training.finetune` raise.
    """
    steps = (*variant.steps, *tuning.steps(data))
    if path.exists():
        return Variant(variant.name, converted.load(path, dense=source).module, steps)
    module = variant.module
    if tuning.distill is not None:
        kept = path.with_name(f"distilled-{path.name}")
        if kept.exists():
            module = converted.load(kept, dense=source).module
        else:
            state = state_path(kept)
            images = data.train.by_row
            module = distill(module, source.module, images, tuning.distill, state=state, progress=progress)
            converted.save(kept, module.state_dict(), plan, source.provenance)
            state.unlink(missing_ok=True)
        if tuning.finetune is None:
            os.replace(kept, path)
    if tuning.finetune is not None:
        working = path.with_name(f"tuning-{path.name}")
        module = finetune(
            module,
            data,
            tuning.finetune,
            plan=plan,
            provenance=source.provenance,
            out=working,
            resume=True,
            progress=progress,
        ).network
        os.replace(working, path)
    return Variant(variant.name, module, steps)
