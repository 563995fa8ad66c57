"""Distillation of the GDWS networks of a bundle from their dense network."""

from __future__ import annotations

from collections.abc import Sequence

from gdws._util.gradients import differentiable
from gdws._util.progress import SILENT, Progress
from gdws.bundles.variant import Variant
from gdws.datasets import Split
from gdws.errors import ModelError
from gdws.networks.sources import Source
from gdws.pipeline.calibration import calibration_images
from gdws.training import DistillSettings, distill
from gdws_contract.steps import DistillStep


def distilled(
    variants: Sequence[Variant],
    source: Source,
    images: Split,
    data: str,
    settings: DistillSettings,
    *,
    progress: Progress = SILENT,
) -> list[Variant]:
    """``variants``, with ``source`` distilled into the GDWS networks among them: ``<name>-distilled``.

    ``images`` are natural images, whose labels are not used; ``data`` is their description.
    Raises what :func:`gdws.training.distill` raises, and :class:`~gdws.errors.ModelError` for a network without
    gradients.
    """
    if not differentiable(source.module):
        raise ModelError(
            f"{source.name} has no gradients, which distillation needs",
            hint="leave out --distill, or give the network as a torch module (--module)",
        )
    pixels = calibration_images(source, images, None)
    step = DistillStep(steps=settings.steps, data=f"{len(pixels)} images of {data}")
    found: list[Variant] = []
    for variant in variants:
        if variant.plan is None or not variant.plan.converted:
            found.append(variant)
            continue
        module = distill(variant.module, source.module, pixels, settings, progress=progress)
        found.append(Variant(f"{variant.name}-distilled", module, (*variant.steps, step)))
    return found
