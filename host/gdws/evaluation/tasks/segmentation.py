"""Segmentation: a class for each pixel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.nn import functional

from gdws._util.outputs import described, tensors_in
from gdws.compression.calibration.projections import Projection, root_mean_squares, squared_error
from gdws.datasets.annotations import Truth
from gdws.errors import DataError, ModelError
from gdws.evaluation.tasks import intervals
from gdws.evaluation.tasks.outputs import check_rows
from gdws_contract import task as contract
from gdws_contract.measures import Metric


@dataclass(frozen=True)
class Segmentation:
    """Scores (N, K, H, W), the class of a pixel being the largest; of K = 1 its sign, or 0.5 of a probability."""

    @property
    def contract(self) -> contract.Segmentation:
        """The task as a bundle holds it."""
        return contract.Segmentation()

    @property
    def loss(self) -> None:
        """No attack is known."""
        return None

    def check(self, output: Any, images: int) -> None:
        """Raise :class:`~gdws.errors.ModelError` unless the first output is finite scores, or integer classes."""
        check_rows(output, images)
        classes_of(output)

    def projection(self, model: nn.Module, images: Tensor) -> Projection:
        """The squared error of the outputs."""
        return squared_error(root_mean_squares(model, images))

    def meter(self) -> SegmentationMeter:
        """A new comparison."""
        return SegmentationMeter()

    def grader(self) -> SegmentationGrader:
        """A new comparison with masks."""
        return SegmentationGrader()

    def classes_of(self, output: Any) -> int | None:
        """How many classes have scores; None where a score is for one of two, or the output holds classes."""
        first = tensors_in(output)[0]
        return first.shape[1] if first.is_floating_point() and first.shape[1] > 1 else None


@dataclass
class _Regions:
    """Pixels of two maps of classes: how many are of the same class, and how far the regions of each class overlap."""

    _same: list[int] = field(default_factory=list)
    _pixels: list[int] = field(default_factory=list)
    _overlap: list[dict[int, int]] = field(default_factory=list)
    _union: list[dict[int, int]] = field(default_factory=list)

    def add(self, mine: Tensor, wanted: Tensor) -> None:
        """Take in the classes of the same pixels, of one image."""
        same = mine == wanted
        self._same.append(int(same.sum()))
        self._pixels.append(same.numel())
        overlap = _counts(mine[same])
        both = _counts(mine), _counts(wanted)
        self._overlap.append(overlap)
        self._union.append(
            {each: sum(part.get(each, 0) for part in both) - overlap.get(each, 0) for each in both[0] | both[1]}
        )

    def metrics(self, pixels: str, regions: str) -> dict[str, Metric]:
        """Under these names, with intervals over images; empty without pixels."""
        classes = sorted({each for union in self._union for each in union})
        agreement = intervals.share(self._same, self._pixels)
        if agreement is None:
            return {}
        parts = np.array([*_table(self._overlap, classes), *_table(self._union, classes)], dtype=np.float64)
        return {regions: intervals.figure(parts, _mean_iou, higher_is_better=True), pixels: agreement}


@dataclass
class SegmentationMeter:
    """``pixel_agreement``: the share of pixels of the same class. ``iou_agreement``: how far the regions of each class
    overlap, intersection over union, in the mean over the classes that either network finds.
    """

    _regions: _Regions = field(default_factory=_Regions)

    def update(self, found: Any, reference: Any) -> None:
        """Take in the outputs of both networks."""
        for mine, wanted in zip(classes_of(found), classes_of(reference), strict=True):
            self._regions.add(mine, wanted)

    def metrics(self) -> dict[str, Metric]:
        """Both, with intervals over images."""
        return self._regions.metrics("pixel_agreement", "iou_agreement")


@dataclass
class SegmentationGrader:
    """``pixel_accuracy`` and ``mean_iou``, over the pixels that have a class.

    A network whose maps are smaller than the images is judged at the size of the images.
    """

    _regions: _Regions = field(default_factory=_Regions)

    def update(self, found: Any, truths: Sequence[Truth]) -> None:
        """Take in the outputs, and the class of each pixel of each image."""
        for mine, truth in zip(classes_of(found), truths, strict=True):
            if not isinstance(truth, Tensor):
                raise DataError("the annotations are boxes, and the network gives a class for each pixel")
            if mine.shape != truth.shape:
                mine = functional.interpolate(mine[None, None].float(), size=truth.shape)[0, 0].long()
            is_known = truth >= 0
            self._regions.add(mine.cpu()[is_known], truth[is_known])

    def metrics(self) -> dict[str, Metric]:
        """Both, with intervals over images."""
        return self._regions.metrics("pixel_accuracy", "mean_iou")


def classes_of(output: Any) -> Tensor:
    """The class of each pixel, (N, H, W) int64, of the first tensor in ``output``.

    Raises :class:`~gdws.errors.ModelError` if it holds neither scores (N, K, H, W) nor integers (N, H, W).
    """
    first = tensors_in(output)[0]
    if not first.is_floating_point() and first.ndim in (3, 4) and (first.ndim == 3 or first.shape[1] == 1):
        return (first[:, 0] if first.ndim == 4 else first).long()
    if first.ndim != 4 or not first.is_floating_point():
        raise ModelError(
            f"the network returns {described(output)}, not scores (N, classes, H, W) or classes (N, H, W)",
            hint="say what the outputs are, e.g. --task outputs",
        )
    if first.shape[1] > 1:
        return first.argmax(dim=1)
    is_probability = bool((first >= 0).all() and (first <= 1).all())
    return (first[:, 0] > (0.5 if is_probability else 0.0)).long()


def _counts(classes: Tensor) -> dict[int, int]:
    found, counts = np.unique(classes.cpu().numpy(), return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))


def _table(rows: list[dict[int, int]], classes: Iterable[int]) -> list[list[int]]:
    """One list for each class, with a count for each image."""
    return [[row.get(each, 0) for row in rows] for each in classes]


def _mean_iou(sums: np.ndarray) -> np.ndarray:
    overlap, union = np.split(sums, 2)
    shares = np.divide(overlap, union, out=np.full_like(overlap, np.nan), where=union > 0)
    found: np.ndarray = np.nanmean(shares, axis=0)
    return found
