"""The way from a checkpoint to a report, in the order of its steps.

::

    load -> calibrate_alphas, calibration_images -> convert_all -> evaluate_all -> pack -> benchmark -> report.write

Each step is a function of what the one before it returned; files appear only where a path is given. All steps up to
the bundle are :func:`make_bundle`; all steps on the package's own network are :mod:`gdws.pipeline.demo`.
"""

from __future__ import annotations

from gdws.bundles.variant import BASELINE, GdwsStep, Variant
from gdws.device.benchmark import benchmark
from gdws.networks.sources import Source, WeightsFile, load, load_module, load_onnx, slimmed
from gdws.pipeline.bundles import BundleSettings, MadeBundle, make_bundle
from gdws.pipeline.calibration import (
    MANY_CLASSES,
    Alphas,
    AlphaSettings,
    calibrate_alphas,
    calibration_images,
    find_alphas,
)
from gdws.pipeline.conversion import convert_all, convert_fitted, with_tuned
from gdws.pipeline.distillation import distilled
from gdws.pipeline.evaluation import (
    evaluate_all,
    evaluate_by_task,
    evaluate_one,
    evaluation_doubts,
    is_classifier,
    require_comparable,
)
from gdws.pipeline.packing import pack
from gdws.pipeline.quantisation import range_images, with_int8
from gdws.pipeline.training import finetuning_start
from gdws.planning.recipe import Recipe

__all__ = [
    "BASELINE",
    "MANY_CLASSES",
    "AlphaSettings",
    "Alphas",
    "BundleSettings",
    "GdwsStep",
    "MadeBundle",
    "Recipe",
    "Source",
    "Variant",
    "WeightsFile",
    "benchmark",
    "calibrate_alphas",
    "calibration_images",
    "convert_all",
    "convert_fitted",
    "distilled",
    "evaluate_all",
    "evaluate_by_task",
    "evaluate_one",
    "evaluation_doubts",
    "find_alphas",
    "finetuning_start",
    "is_classifier",
    "load",
    "load_module",
    "load_onnx",
    "make_bundle",
    "pack",
    "range_images",
    "require_comparable",
    "slimmed",
    "with_int8",
    "with_tuned",
]
