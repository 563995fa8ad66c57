"""Distillation of the GDWS networks of a bundle from their dense network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from gdws._util.gradients import differentiable
from gdws._util.progress import SILENT, Progress
from gdws.bundles.variant import Variant
from gdws.datasets import Split, check_pixels, require_shape
from gdws.errors import ModelError
from gdws.networks.sources import Source
from gdws.training import DistillSettings, distill
from gdws_contract.steps import DistillStep


def distilled(
    variants: Sequence[Variant],
    source: Source,
    images: Split,
    data: str,
    settings: DistillSettings,
    *,
    state_of: Callable[[str], Path | None] = lambda name: None,
    progress: Progress = SILENT,
) -> list[Variant]:
    """``variants``, with ``source`` distilled into the GDWS networks among them: ``<name>-distilled``.

    ``images`` are natural images, whose labels are not used; ``data`` is their description. ``state_of`` gives the file
    that the distillation of a name goes on from after an interruption.
    Raises what :func:`gdws.training.distill` raises, :class:`~gdws.errors.ModelError` for a network without gradients,
    and :class:`~gdws.errors.DataError` unless it takes images of their shape and the pixels run from 0 to 1.
    """
    if not differentiable(source.module):
        raise ModelError(
            f"{source.name} has no gradients, which distillation needs",
            hint="leave out --distill, or give the network as a torch module (--module)",
        )
    require_shape(f"the images of {data}", images.by_row.shape[1:], source.input_shape)
    check_pixels(images.by_row)
    step = DistillStep(steps=settings.steps, data=f"{settings.images_of(len(images))} images of {data}")
    found: list[Variant] = []
    for variant in variants:
        if variant.plan is None or not variant.plan.converted:
            found.append(variant)
            continue
        name = f"{variant.name}-distilled"
        state = state_of(name)
        module = distill(variant.module, source.module, images.by_row, settings, state=state, progress=progress)
        found.append(Variant(name, module, (*variant.steps, step)))
    return found
