"""Which detections of two networks are the same."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from gdws.evaluation.tasks.detection.heads import Candidates

#: Boxes of one class that overlap by more are one object, as YOLO's own post-processing has it.
SUPPRESSION_IOU = 0.45


class Detections(NamedTuple):
    """In one image, best first: ``boxes`` (D, 4), ``scores`` (D,) and ``classes`` (D,)."""

    boxes: Tensor
    scores: Tensor
    classes: Tensor

    def clipped(self, size: tuple[int, int]) -> Detections:
        """The same, without what of the boxes is outside of an image of ``size`` (H, W), as annotations are."""
        height, width = size
        limit = self.boxes.new_tensor([width, height, width, height])
        return self._replace(boxes=self.boxes.clamp(min=0).minimum(limit))


def detections(candidates: Candidates, score_threshold: float) -> list[Detections]:
    """What is detected in each image: the candidates of at least that score, after non-maximum suppression."""
    from torchvision.ops import batched_nms  # takes seconds, for torch's compiler comes along

    found = []
    for boxes, scores in zip(candidates.boxes.detach().float(), candidates.scores.detach().float(), strict=True):
        best, classes = scores.max(dim=1)
        above = best >= score_threshold
        boxes, best, classes = boxes[above], best[above], classes[above]
        kept = batched_nms(boxes, best, classes, SUPPRESSION_IOU)
        found.append(Detections(boxes[kept], best[kept], classes[kept]))
    return found


def matched(reference: Detections, found: Detections, iou_threshold: float) -> int:
    """How many of ``reference`` are in ``found``: of the same class, at that IoU; each counts once, best first."""
    from torchvision.ops import box_iou  # as above

    overlap = box_iou(reference.boxes, found.boxes)
    overlap[reference.classes[:, None] != found.classes] = 0
    count = 0
    for row in overlap:
        if len(row) and float(row.max()) >= iou_threshold:
            overlap[:, int(row.argmax())] = 0
            count += 1
    return count
