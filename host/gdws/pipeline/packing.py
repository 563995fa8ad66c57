"""Packs variants into a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from gdws._util.modes import evaluation_mode
from gdws._util.outputs import run
from gdws._util.progress import SILENT, Progress
from gdws.bundles import packing as bundle
from gdws.bundles.packing import VerificationSet
from gdws.bundles.variant import Variant
from gdws.compression.surgery import sample
from gdws.datasets import Dataset, Split, require_shape
from gdws.evaluation.attacks import Spec
from gdws.evaluation.tasks import Classification
from gdws.networks.sources import Source
from gdws.networks.sparsity import sizes
from gdws_contract import task as contract
from gdws_contract.optimisation import Optimisation


def pack(
    path: Path,
    source: Source,
    variants: Sequence[Variant],
    images: Split,
    data: str,
    attack: Spec | None,
    *,
    class_names: Sequence[str] = (),
    description: str | None = None,
    threads: int | None = None,
    optimisation: Optimisation | None = None,
    progress: Progress = SILENT,
) -> str:
    """Write the bundle and return its id; ``images`` with ``attack`` become the verification set.

    Labels are for classifiers alone. ``class_names`` are kept if they are as many as the network's classes. Of a pruned
    network it also tells how many parameters of each variant are not zero.
    Raises :class:`~gdws.errors.DataError` if the images have another size than the network's: the bundle would be of
    a network for that size.
    """
    require_shape(f"the images of {data}", images.by_row.shape[1:], source.input_shape)
    if not isinstance(source.task, Classification):
        images = images.without_labels()
    labels = images.labels if images.has_labels else None
    path.parent.mkdir(parents=True, exist_ok=True)
    provenance = dict(source.provenance)
    if sizes(source.module).pruned:
        provenance["non_zero_parameters"] = {each.name: sizes(each.module).non_zero for each in variants}
    return bundle.pack(
        path,
        name=source.name,
        variants=variants,
        verification=VerificationSet(images.images, labels, data, attack, images.origin),
        task=_with_names(source, class_names),
        description=description,
        provenance=provenance,
        threads=threads,
        optimisation=optimisation,
        progress=progress,
    )


def with_preparation(source: Source, data: Dataset) -> Source:
    """``source`` whose provenance tells how the images of ``data`` were prepared, where they were."""
    if not data.preparation:
        return source
    return replace(source, provenance={**source.provenance, "images": dict(data.preparation)})


@torch.no_grad()
def _with_names(source: Source, names: Sequence[str]) -> contract.Task:
    """The task as the bundle holds it, with the names of its classes."""
    task = source.task.contract
    if not names or isinstance(task, contract.Outputs):
        return task
    with evaluation_mode(source.module):
        classes = source.task.classes_of(run(source.module, sample(source.module, source.input_shape)))
    return task.model_copy(update={"classes": list(names)}) if classes == len(names) else task
