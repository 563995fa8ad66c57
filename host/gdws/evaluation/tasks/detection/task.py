"""Detection: boxes with scores, by the heads of the YOLO family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from gdws.compression.calibration import margins
from gdws.compression.calibration.projections import Projection
from gdws.datasets.annotations import Objects, Truth
from gdws.errors import DataError
from gdws.evaluation.tasks import intervals
from gdws.evaluation.tasks.detection.heads import decode
from gdws.evaluation.tasks.detection.matching import Detections, detections, matched
from gdws.evaluation.tasks.detection.precision import LEAST_SCORE, mean_average_precision, require_installed
from gdws.evaluation.tasks.outputs import check_rows
from gdws_contract import task as contract
from gdws_contract.measures import Metric

#: Boxes smaller than so many pixels have their errors measured by that.
_LEAST_EXTENT = 8.0


@dataclass(frozen=True)
class Detection:
    """A head of ``layout`` for images of ``size`` (H, W).

    A box counts from ``score_threshold``, and two are the same object if they are of one class and overlap by
    ``iou_threshold``, intersection over union.
    """

    layout: contract.DetectionLayout
    size: tuple[int, int]
    score_threshold: float = 0.25
    iou_threshold: float = 0.5

    @property
    def contract(self) -> contract.Detection:
        """The task as a bundle holds it."""
        return contract.Detection(
            layout=self.layout, score_threshold=self.score_threshold, iou_threshold=self.iou_threshold
        )

    @property
    def loss(self) -> None:
        """No attack is known."""
        return None

    def check(self, output: Any, images: int) -> None:
        """Raise :class:`~gdws.errors.ModelError` unless ``output`` is finite and of the layout."""
        check_rows(output, images)
        decode(output, self.layout, self.size)

    def projection(self, model: nn.Module, images: Tensor) -> Projection:
        """Scores, and corners of boxes in units of the box's size, as far as the best score says that there is one.

        Without that weight thousands of boxes that nobody looks at, in pixels, would outweigh all else.
        """
        return self._project

    def meter(self) -> DetectionMeter:
        """A new comparison."""
        return DetectionMeter(self)

    def grader(self) -> DetectionGrader:
        """Mean average precision. Raises :class:`~gdws.errors.GdwsError` if pycocotools is not installed."""
        require_installed()
        return DetectionGrader(self)

    def classes_of(self, output: Any) -> int:
        """How many classes the head scores."""
        return decode(output, self.layout, self.size).scores.shape[2]

    def _project(self, output: Any, images: int, generator: torch.Generator) -> Tensor:
        boxes, scores = decode(output, self.layout, self.size)
        extent = (boxes[..., 2:] - boxes[..., :2]).detach().clamp(min=_LEAST_EXTENT)
        weight = scores.detach().amax(dim=2, keepdim=True) / torch.cat((extent, extent), dim=2)
        signed_scores = scores * margins.signs(scores.shape, generator).to(scores)
        signed_boxes = boxes * weight * margins.signs(boxes.shape, generator).to(boxes)
        return signed_scores.sum() + signed_boxes.sum()


@dataclass
class DetectionMeter:
    """``detections_kept``: the share of the objects found before conversion that are found still.

    ``detections_confirmed``: the share of the objects found now that were found before, so that new ones count against
    the network. Neither is there where there is nothing to count.
    """

    task: Detection
    _matched: list[int] = field(default_factory=list)
    _before: list[int] = field(default_factory=list)
    _now: list[int] = field(default_factory=list)

    def update(self, found: Any, reference: Any) -> None:
        """Take in the outputs of both networks."""
        now, before = (
            detections(decode(each, self.task.layout, self.task.size), self.task.score_threshold)
            for each in (found, reference)
        )
        for mine, wanted in zip(now, before, strict=True):
            self._matched.append(matched(wanted, mine, self.task.iou_threshold))
            self._before.append(len(wanted.boxes))
            self._now.append(len(mine.boxes))

    def metrics(self) -> dict[str, Metric]:
        """Both shares, with intervals over images."""
        shares = {
            "detections_kept": intervals.share(self._matched, self._before),
            "detections_confirmed": intervals.share(self._matched, self._now),
        }
        return {name: each for name, each in shares.items() if each is not None}


@dataclass
class DetectionGrader:
    """``map`` and ``map_50``, see :func:`~gdws.evaluation.tasks.detection.precision.mean_average_precision`."""

    task: Detection
    _found: list[Detections] = field(default_factory=list)
    _truths: list[Objects] = field(default_factory=list)

    def update(self, found: Any, truths: Sequence[Truth]) -> None:
        """Take in the outputs, and the objects in each image."""
        candidates = decode(found, self.task.layout, self.task.size)
        classes = candidates.scores.shape[2]
        for truth in truths:
            if not isinstance(truth, Objects):
                raise DataError("the annotations are masks, and the network is a detector", hint="give boxes")
            if _largest(truth.classes) >= classes:
                raise DataError(
                    f"the annotations have the class {_largest(truth.classes)}, and the network has {classes}",
                    hint="give --labels FILE with the names of the network's classes in its order",
                )
            self._truths.append(truth)
        self._found += [each.clipped(self.task.size) for each in detections(candidates, LEAST_SCORE)]

    def metrics(self) -> dict[str, Metric]:
        """Both, with intervals over images."""
        return dict(mean_average_precision(self._found, self._truths))


def _largest(classes: Tensor) -> int:
    """-1 where there is none."""
    return int(classes.max()) if len(classes) else -1
