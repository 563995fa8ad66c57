"""Detections decoded and compared."""

from __future__ import annotations

import pytest
import torch

from gdws.evaluation.tasks import Detection
from gdws.evaluation.tasks.detection.heads import decode
from gdws.evaluation.tasks.detection.matching import detections

SIZE = (64, 96)
CELLS = 8 * 12 + 4 * 6 + 2 * 3
#: The cell at row 1, column 2 of the grid of stride 16, of the 8 x 12 + 4 x 6 + 2 x 3.
CELL = 96 + 1 * 6 + 2
BOX = (30.0, 20.0, 50.0, 44.0)


def empty(rows: int, columns: int) -> torch.Tensor:
    return torch.zeros(1, rows, columns)


def yolov8() -> torch.Tensor:
    head = empty(4 + 3, CELLS)
    head[0, :, CELL] = torch.tensor([40.0, 32.0, 20.0, 24.0, 0.1, 0.9, 0.2])
    return head


def yolov5() -> torch.Tensor:
    head = empty(3 * CELLS, 5 + 3)
    head[0, CELL] = torch.tensor([40.0, 32.0, 20.0, 24.0, 0.9, 0.1, 1.0, 0.2])
    return head


def yolox() -> torch.Tensor:
    head = empty(CELLS, 5 + 3)
    head[0, CELL, :2] = torch.tensor([40 / 16 - 2, 32 / 16 - 1])
    head[0, CELL, 2:4] = torch.tensor([20 / 16, 24 / 16]).log()
    head[0, CELL, 4:] = torch.tensor([0.9, 0.1, 1.0, 0.2])
    return head


def boxes_scores() -> tuple[torch.Tensor, torch.Tensor]:
    boxes, scores = empty(7, 4), empty(7, 3)
    boxes[0, 2], scores[0, 2] = torch.tensor(BOX), torch.tensor([0.1, 0.9, 0.2])
    return boxes, scores


@pytest.mark.parametrize(
    ("layout", "make"), [("yolov8", yolov8), ("yolov5", yolov5), ("yolox", yolox), ("boxes-scores", boxes_scores)]
)
def test_every_layout_says_the_same(layout, make):
    [found] = detections(decode(make(), layout, SIZE), 0.25)
    torch.testing.assert_close(found.boxes, torch.tensor([BOX]))
    torch.testing.assert_close(found.scores, torch.tensor([0.9]))
    assert found.classes.tolist() == [1]


def head(*objects: tuple[float, float, int, float]) -> tuple[torch.Tensor, torch.Tensor]:
    """Boxes of 20 pixels at x and y, with class and score."""
    boxes = torch.tensor([[x, y, x + 20, y + 20] for x, y, _, _ in objects], dtype=torch.float32).reshape(1, -1, 4)
    scores = torch.zeros(1, len(objects), 3)
    for row, (_, _, label, score) in enumerate(objects):
        scores[0, row, label] = score
    return boxes, scores


@pytest.mark.parametrize(
    ("now", "kept", "confirmed"),
    [
        ([(0, 0, 1, 0.9), (50, 50, 2, 0.8)], (2, 2), (2, 2)),
        ([(2, 0, 1, 0.3), (50, 50, 2, 0.8)], (2, 2), (2, 2)),
        ([(15, 0, 1, 0.9), (50, 50, 2, 0.8)], (1, 2), (1, 2)),  # it moved too far
        ([(0, 0, 2, 0.9), (50, 50, 2, 0.8)], (1, 2), (1, 2)),  # of another class
        ([(0, 0, 1, 0.2), (50, 50, 2, 0.8)], (1, 2), (1, 1)),  # below the threshold
        ([(0, 0, 1, 0.9), (50, 50, 2, 0.8), (0, 60, 0, 0.6)], (2, 2), (2, 3)),  # a new one
        ([(0, 0, 1, 0.9), (1, 1, 1, 0.8), (50, 50, 2, 0.8)], (2, 2), (2, 2)),  # two of one object
    ],
)
def test_agreement_with_the_network_before_conversion(now, kept, confirmed):
    meter = Detection("boxes-scores", SIZE).meter()
    meter.update(head(*now), head((0, 0, 1, 0.9), (50, 50, 2, 0.8)))
    found = meter.metrics()
    assert (found["detections_kept"].successes, found["detections_kept"].count) == kept
    assert (found["detections_confirmed"].successes, found["detections_confirmed"].count) == confirmed


def test_nothing_to_detect_is_no_figure():
    meter = Detection("boxes-scores", SIZE).meter()
    meter.update(head(), head((0, 0, 1, 0.1)))
    assert meter.metrics() == {}


def test_boxes_that_nobody_sees_do_not_count():
    """Of the squared change of the projection: a score and a box with a score matter, a box without does not."""
    task = Detection("boxes-scores", SIZE)
    boxes, scores = (each.requires_grad_() for each in head((0, 0, 1, 0.9), (40, 0, 1, 0.0)))
    projected = task.projection(torch.nn.Identity(), boxes)((boxes, scores), 1, torch.Generator().manual_seed(0))
    of_boxes, of_scores = torch.autograd.grad(projected, (boxes, scores))
    torch.testing.assert_close(of_scores.abs(), torch.ones_like(scores))
    torch.testing.assert_close(of_boxes.abs()[0], torch.tensor([[0.9 / 20] * 4, [0.0] * 4]))
