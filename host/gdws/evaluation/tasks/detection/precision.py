"""Mean average precision of detections, by the evaluation of COCO: pycocotools."""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gdws.datasets.annotations import Objects
from gdws.errors import GdwsError
from gdws.evaluation.tasks.detection.matching import Detections
from gdws_contract.findings.intervals import CONFIDENCE
from gdws_contract.findings.student_t import t_quantile
from gdws_contract.measures import Figure, Interval

#: Detections from this score count: precision is averaged over all of them, not only over those that are shown.
LEAST_SCORE = 0.001

#: Groups of images, each of which is left out once.
_GROUPS = 20
_MOST_DETECTIONS = 100
_METHOD = "jackknife over groups of images"


def require_installed() -> None:
    """Raise :class:`~gdws.errors.GdwsError` with the fix if pycocotools is not there."""
    _pycocotools()


def mean_average_precision(found: Sequence[Detections], truths: Sequence[Objects]) -> dict[str, Figure]:
    """``map`` over the IoU thresholds 0.5 to 0.95, and ``map_50``, in the mean over the classes in ``truths``.

    Both sequences run over the same images. At most 100 detections of an image count. Empty where there is no object.
    Raises :class:`~gdws.errors.GdwsError` if pycocotools is not installed.
    """
    if not any(bool((~truth.is_crowd).any()) for truth in truths):
        return {}
    evaluation = _evaluated(found, truths)
    images = np.arange(len(truths))
    groups = min(_GROUPS, len(images))
    whole = _precisions(evaluation, images)
    without = [_precisions(evaluation, images[images % groups != group]) for group in range(groups)]
    return {
        name: Figure(value=value, higher_is_better=True, interval=_interval(value, [each[place] for each in without]))
        for place, (name, value) in enumerate(zip(("map", "map_50"), whole, strict=True))
    }


def _evaluated(found: Sequence[Detections], truths: Sequence[Objects]) -> Any:
    """What pycocotools makes of them: matches of detections in each image, at each threshold."""
    coco, evaluate = _pycocotools()
    classes = sorted({int(each) for truth in truths for each in truth.classes})
    objects: list[dict[str, Any]] = []
    for image, truth in enumerate(truths):
        for box, kind, is_crowd in zip(
            truth.boxes.tolist(), truth.classes.tolist(), truth.is_crowd.tolist(), strict=True
        ):
            area = (box[2] - box[0]) * (box[3] - box[1])
            entry = {"bbox": _as_coco(box), "area": area, "iscrowd": int(is_crowd), "category_id": kind}
            objects.append({**entry, "id": len(objects) + 1, "image_id": image})
    results = [
        {"image_id": image, "category_id": kind, "bbox": _as_coco(box), "score": score}
        for image, each in enumerate(found)
        for box, kind, score in zip(each.boxes.tolist(), each.classes.tolist(), each.scores.tolist(), strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):  # it tells of its progress
        truth = coco()
        truth.dataset = {
            "images": [{"id": image} for image in range(len(truths))],
            "annotations": objects,
            "categories": [{"id": each} for each in classes],
        }
        truth.createIndex()
        detected = coco()
        detected.dataset = {**truth.dataset, "annotations": _numbered(results)}
        detected.createIndex()
        evaluation = evaluate(truth, detected, "bbox")
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.params.maxDets = [_MOST_DETECTIONS]
        evaluation.evaluate()
    return evaluation


def _numbered(results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {**each, "id": number, "area": each["bbox"][2] * each["bbox"][3], "iscrowd": 0}
        for number, each in enumerate(results, start=1)
    ]


def _precisions(evaluation: Any, images: Any) -> tuple[float, float]:
    """The mean over all thresholds, and that at 0.5, on these ``images`` alone; NaN where there is no object."""
    kept = set(images.tolist())
    everything = evaluation.params.imgIds
    evaluation.params.imgIds = [image if image in kept else -1 for image in everything]  # -1 is no image
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation.accumulate()
    finally:
        evaluation.params.imgIds = everything
    precision = evaluation.eval["precision"][:, :, :, 0, 0]  # (thresholds, recalls, classes); -1: no such object
    return _mean(precision), _mean(precision[0])


def _mean(precision: Any) -> float:
    known = precision[precision > -1]
    return float(known.mean()) if known.size else math.nan


def _interval(value: float, without: Sequence[float]) -> Interval | None:
    """From the spread of the figure as one group after the other is left out (Tukey, 1958); None for one group."""
    groups = len(without)
    if groups < 2 or not np.isfinite(without).all():
        return None
    variance = (groups - 1) / groups * float(np.sum((np.array(without) - np.mean(without)) ** 2))
    half = t_quantile((1 + CONFIDENCE) / 2, groups - 1) * math.sqrt(variance)
    return Interval(low=max(value - half, 0.0), high=min(value + half, 1.0), level=CONFIDENCE, method=_METHOD)


def _as_coco(box: Sequence[float]) -> list[float]:
    """Corners as left, top, width and height."""
    return [box[0], box[1], box[2] - box[0], box[3] - box[1]]


def _pycocotools() -> tuple[Any, Any]:
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as error:
        raise GdwsError(
            f"mean average precision needs the package pycocotools: {error}",
            hint="pip install 'gdws[detection]', or leave --annotations out and compare with the dense network",
        ) from error
    return COCO, COCOeval
