"""Accuracies of variants, and reservations about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gdws._util.distributed import Workers
from gdws._util.progress import SILENT, Progress
from gdws.bundles.packing import host_evaluation
from gdws.bundles.variant import BASELINE, Variant
from gdws.datasets import Split
from gdws.errors import DataError, GdwsError
from gdws.evaluation.agreement import agreement
from gdws.evaluation.attacks import Spec
from gdws.evaluation.evaluate import Evaluation, evaluate
from gdws.evaluation.tasks import Classification, Task
from gdws.networks.sources import Source
from gdws.pipeline.calibration import classes
from gdws.results.near_chance import answer_doubts
from gdws_contract.findings.metrics import metrics_of
from gdws_contract.manifest import HostEvaluation


def is_classifier(source: Source) -> bool:
    """Whether the network is evaluated by its accuracy."""
    return isinstance(source.task, Classification)


def require_comparable(source: Source, images: Split) -> None:
    """Raise :class:`~gdws.errors.GdwsError` if there is nothing to hold against what the network gives by itself."""
    if not is_classifier(source) and images.truth is None:
        raise GdwsError(
            f"{source.name} is not a classifier, and there is nothing to compare it with",
            hint="give --plan FILE to compare a GDWS network with it, --annotations PATH to compare it with the truth, "
            "or --task classification",
        )


def evaluate_by_task(
    variants: Sequence[Variant], images: Split, data: str, task: Task, *, progress: Progress = SILENT
) -> HostEvaluation:
    """The last of ``variants`` by the metrics of its ``task``; agreement is with the first, unless it is that."""
    found = evaluate_all(variants, images, data, None, task=task, progress=progress)[-1].evaluation
    assert found is not None  # all are evaluated
    if len(variants) > 1:
        return found
    alone = [each.name for each in metrics_of(found, None) if not each.is_agreement]
    return found.model_copy(update={"metrics": {name: found.metrics[name] for name in alone}})


def evaluate_one(
    variant: Variant,
    images: Split,
    attack: Spec | None,
    *,
    check: bool = True,
    state: Path | None = None,
    workers: Workers | None = None,
    progress: Progress = SILENT,
) -> Evaluation:
    """Natural and robust accuracy of one network, the attack white-box on it.

    The attack on a GDWS network runs on the equivalent dense network, whose gradients are the same up to rounding and
    take a fraction of the time. The attack on an INT8 network passes through its rounding. ``check``, ``state``
    and ``workers`` as for :func:`gdws.evaluation.evaluate.evaluate`. Raises :class:`~gdws.errors.DataError` for
    annotations, which are not classes.
    """
    if images.truth is not None:
        raise DataError("annotations say nothing of a classifier", hint="give a folder of images for each class")
    images.require_any()
    found = evaluate(
        variant.module,
        images.by_row,
        images.labels,
        attack,
        attack_on="dense-equivalent" if variant.plan is not None and not variant.is_quantised else "itself",
        check=check,
        state=state,
        workers=workers,
        progress=_Named(progress, variant.name),
    )
    return replace(found, origin=images.origin)


def evaluate_all(
    variants: Sequence[Variant],
    images: Split,
    data: str,
    attack: Spec | None,
    *,
    task: Task | None = None,
    progress: Progress = SILENT,
) -> list[Variant]:
    """``variants`` with their accuracies, see :func:`evaluate_one`, or how far they agree with the first of them.

    The latter where the ``task`` is not to classify, see :func:`gdws.evaluation.agreement.agreement`, with measures
    against annotations where there are some. ``data`` says what the images are.
    """
    if task is not None and not isinstance(task, Classification):
        images.require_any()
        networks = {variant.name: variant.module for variant in variants}
        found = agreement(variants[0].module, networks, images.by_row, task, truth=images.truth, progress=progress)
        origin = images.without_labels().origin if images.truth is None else "labelled"
        return [
            replace(variant, evaluation=HostEvaluation(data=data, origin=origin, metrics=found[variant.name]))
            for variant in variants
        ]
    return [
        replace(
            variant,
            evaluation=host_evaluation(evaluate_one(variant, images, attack, progress=progress), data),
        )
        for variant in variants
    ]


def evaluation_doubts(source: Source, variants: Sequence[Variant]) -> list[str]:
    """Reservations about the accuracies of ``variants``, in whole sentences."""
    evaluated = [(variant, variant.evaluation) for variant in variants if variant.evaluation is not None]
    found = [
        f"{variant.name}: {doubt}"
        for variant, evaluation in evaluated
        if evaluation.attack_check is not None
        for doubt in evaluation.attack_check.doubts()
    ]
    found += [
        f"{variant.name} has no layer that GDWS can replace; it is the dense network"
        for variant in variants
        if variant.plan is not None and not variant.plan.converted
    ]
    for variant, evaluation in evaluated:
        if variant.name == BASELINE and evaluation.natural is not None:
            doubts = answer_doubts(evaluation.natural, evaluation.origin, classes(source), evaluation.classes_answered)
            found += [f"{source.name}: {doubt}" for doubt in doubts]
    return found


@dataclass(frozen=True)
class _Named:
    """Reports progress under the name of the network instead of the attack."""

    progress: Progress
    name: str

    def start(self, total: int, description: str) -> None:
        self.progress.start(total, f"evaluate {self.name}")

    def advance(self, n: int = 1, **figures: float | str) -> None:
        self.progress.advance(n, **figures)
