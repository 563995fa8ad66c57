"""The way from a checkpoint to a report, in the order in which it is gone.

::

    load -> calibrate_alphas, calibration_images -> convert_all -> evaluate_all -> pack -> benchmark -> report.write

Each step is a function of what the one before it returned; files appear only where a path is given. All of it at once
is in :mod:`gdws.pipeline.demo`.
"""

from __future__ import annotations

from gdws.device.benchmark import benchmark
from gdws.networks.sources import Source, load, load_module, load_onnx, slimmed
from gdws.pipeline.calibration import MANY_CLASSES, Alphas, calibrate_alphas, calibration_images
from gdws.pipeline.conversion import BASELINE, convert_all, convert_fitted, with_tuned
from gdws.pipeline.evaluation import evaluate_all, evaluate_one, evaluation_doubts
from gdws.pipeline.packing import pack, recorded_origin
from gdws.planning.recipe import Recipe

__all__ = [
    "BASELINE",
    "MANY_CLASSES",
    "Alphas",
    "Recipe",
    "Source",
    "benchmark",
    "calibrate_alphas",
    "calibration_images",
    "convert_all",
    "convert_fitted",
    "evaluate_all",
    "evaluate_one",
    "evaluation_doubts",
    "load",
    "load_module",
    "load_onnx",
    "pack",
    "recorded_origin",
    "slimmed",
    "with_tuned",
]
