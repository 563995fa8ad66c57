"""INT8 versions of the networks of a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from glob import escape

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gdws._util.progress import SILENT, Progress
from gdws.bundles.variant import Variant
from gdws.datasets import Split, check_pixels
from gdws.evaluation.attacks import Spec
from gdws.networks.sources import Source
from gdws.onnx_io.export import export
from gdws.onnx_io.int8 import Int8Settings, QuantizedNetwork, costly_layers, quantize
from gdws.pipeline.calibration import calibration_images
from gdws_contract.plan import Layout
from gdws_contract.steps import Int8Step

#: Layouts without a fast integer kernel in runtimes on a CPU: 0.17 times the speed of dense was measured.
SLOW_LAYOUTS: tuple[Layout, ...] = ("grouped",)


def int8_doubts(variants: Sequence[Variant], settings: Int8Settings) -> list[str]:
    """Which INT8 forms among ``variants`` can be expected to be slow where ``settings`` have them run."""
    if settings.scheme != "asymmetric":  # that is for ONNX Runtime
        return []
    slow = [
        variant.name
        for variant in variants
        if variant.is_quantised and variant.plan and any(each.layout in SLOW_LAYOUTS for each in variant.plan.converted)
    ]
    advice = "which ONNX Runtime has no fast INT8 kernel for on a CPU; stacked layers have one"
    return [f"{name} has {' and '.join(SLOW_LAYOUTS)} layers, {advice}" for name in slow]


def range_images(source: Source, images: Split, attack: Spec | None, *, progress: Progress = SILENT) -> Tensor:
    """Images (N, C, H, W) to find ranges from: ``images``, and the same attacked on the network if it is to be robust.

    Activations of attacked images are larger; ranges of natural images alone would clip them.
    Raises what :func:`gdws.pipeline.calibration_images` raises.
    """
    natural = calibration_images(source, images, None)
    if attack is None:
        return natural
    return torch.cat([natural, calibration_images(source, images, attack, progress=progress)])


def with_int8(
    variants: Sequence[Variant],
    source: Source,
    images: Tensor,
    settings: Int8Settings,
    *,
    progress: Progress = SILENT,
) -> list[Variant]:
    """``variants``, each that is in floating point followed by its INT8 version, ``<name>-int8``.

    Its module is the torch twin of the file.

    ``images`` (N, C, H, W) in [0, 1], as every network of a bundle takes them, give the ranges; see
    :func:`range_images`. Raises :class:`~gdws.errors.DataError` if they are not such, and what
    :func:`gdws.onnx_io.export.export` and :func:`gdws.onnx_io.int8.quantize` raise.
    """
    if len(images) > 0:  # none at all is said with what INT8 needs them for
        check_pixels(images)
    pixels = images.detach().cpu().float().numpy()
    progress.start(len(variants), f"quantise {len(variants)} networks to INT8")
    found: list[Variant] = []
    for variant in variants:
        found.append(variant)
        if not variant.is_quantised:
            found.append(_in_int8(variant, tuple(source.input_shape), pixels, settings))
        progress.advance(1)
    return found


def _in_int8(
    variant: Variant, input_shape: tuple[int, ...], pixels: npt.NDArray[np.float32], settings: Int8Settings
) -> Variant:
    made = quantize(export(variant.module, input_shape), pixels, settings)
    step = Int8Step(calibration_images=len(pixels), method=made.method, skipped=list(made.kept))
    twin = QuantizedNetwork(made.content, input_shape)
    return Variant(f"{variant.name}-int8", twin, (*variant.steps, step))


def costly_int8_layers(
    variant: Variant, source: Source, images: Tensor, settings: Int8Settings, *, progress: Progress = SILENT
) -> tuple[str, ...]:
    """The names of the layers of ``variant`` that may be in INT8, those first whose rounding costs most.

    Raises as :func:`with_int8`.
    """
    progress.start(1, "rank layers by what INT8 costs")
    pixels = images.detach().cpu().float().numpy()
    found = costly_layers(export(variant.module, source.input_shape), pixels, settings)
    progress.advance(1)
    return found


def without_layers(settings: Int8Settings, names: Sequence[str]) -> Int8Settings:
    """``settings`` that leave the layers of these ``names`` in floating point, too."""
    return replace(settings, skip=(*settings.skip, *map(escape, names)))
