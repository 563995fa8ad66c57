"""The steps from a checkpoint to a report, in order.

::

    load -> calibrate_alphas, calibration_images -> convert_all -> evaluate_all -> pack -> benchmark -> report.write

Each step is a function of the previous step's result; files are written only if a path is given. :func:`make_bundle`
does all steps up to the bundle; :mod:`gdws.pipeline.demo` does all steps on the package's own network.
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
from gdws.pipeline.training import finetuning_start, quantised_start
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
    "quantised_start",
    "range_images",
    "require_comparable",
    "slimmed",
    "with_int8",
    "with_tuned",
]
