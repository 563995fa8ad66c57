"""The way from a checkpoint to a report: its steps, and all of them at once in the demo."""

from __future__ import annotations

from gdws.pipeline.steps import (
    BASELINE,
    MANY_CLASSES,
    Alphas,
    Recipe,
    Source,
    benchmark,
    calibrate_alphas,
    calibration_images,
    convert_all,
    convert_fitted,
    evaluate_all,
    evaluate_one,
    evaluation_doubts,
    load,
    load_module,
    load_onnx,
    pack,
    slimmed,
    with_tuned,
)

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
    "slimmed",
    "with_tuned",
]
