"""Mean average precision, against cases that were computed by hand."""

from __future__ import annotations

import sys

import pytest
import torch

from gdws.datasets.annotations import Objects
from gdws.errors import DataError, GdwsError
from gdws.evaluation.tasks import Detection
from gdws.evaluation.tasks.detection.matching import Detections
from gdws.evaluation.tasks.detection.precision import mean_average_precision

CORNER, FAR, ELSEWHERE = [0.0, 0, 10, 10], [20.0, 20, 30, 30], [50.0, 50, 60, 60]


def objects(*boxes, classes=None, crowd=()):
    kinds = torch.tensor(classes or [0] * len(boxes), dtype=torch.int64)
    is_crowd = torch.tensor([place in crowd for place in range(len(boxes))], dtype=torch.bool)
    return Objects(torch.tensor(boxes).reshape(-1, 4), kinds, is_crowd)


def found(*scored, classes=None):
    boxes, scores = [box for box, _ in scored], [score for _, score in scored]
    kinds = torch.tensor(classes or [0] * len(scored), dtype=torch.int64)
    return Detections(torch.tensor(boxes).reshape(-1, 4), torch.tensor(scores), kinds)


@pytest.fixture(autouse=True)
def _installed():
    pytest.importorskip("pycocotools")


def values(*arguments):
    return {name: figure.value for name, figure in mean_average_precision(*arguments).items()}


def test_one_of_three_missed_and_one_too_many():
    # By falling score: right, wrong, right. Precision 1 up to a recall of 1/3 (34 of 101 points), then 2/3 up to 2/3
    # (33 points), then 0.
    truths = [objects(CORNER, FAR), objects(CORNER)]
    detected = [found((CORNER, 0.9), (ELSEWHERE, 0.8)), found((CORNER, 0.7))]
    expected = (34 + 33 * 2 / 3) / 101
    assert values(detected, truths) == {"map": pytest.approx(expected), "map_50": pytest.approx(expected)}


def test_a_box_of_less_overlap_counts_at_fewer_thresholds():
    shorter = [0.0, 0, 10, 6.2]  # IoU 0.62: right at 0.5, 0.55 and 0.6 of ten thresholds
    assert values([found((shorter, 0.9))], [objects(CORNER)]) == {
        "map": pytest.approx(0.3),
        "map_50": pytest.approx(1.0),
    }


def test_classes_are_averaged_and_another_class_does_not_match():
    truths = [objects(CORNER, FAR, classes=[0, 2])]
    detected = [found((CORNER, 0.9), (FAR, 0.9), classes=[0, 1])]
    assert values(detected, truths)["map_50"] == pytest.approx(0.5)


def test_detections_in_a_crowd_count_neither_way():
    truths = [objects(CORNER, [40.0, 40, 70, 70], crowd=[1])]
    assert values([found((ELSEWHERE, 0.95), (CORNER, 0.9))], truths)["map_50"] == pytest.approx(1.0)


def test_the_interval_is_over_images():
    truths = [objects(CORNER) for _ in range(40)]
    detected = [found((CORNER, 0.9)) if image % 4 else found((ELSEWHERE, 0.5)) for image in range(40)]
    interval = mean_average_precision(detected, truths)["map_50"].interval
    assert interval is not None
    assert interval.low < 0.75 < interval.high
    assert interval.high - interval.low < 0.5
    assert mean_average_precision(detected[:1], truths[:1])["map_50"].interval is None


def test_nothing_to_find_has_no_precision():
    assert mean_average_precision([found((CORNER, 0.9))], [objects()]) == {}


def test_a_head_is_graded_by_its_candidates():
    task = Detection("boxes-scores", (64, 64))
    grader = task.grader()
    boxes = torch.tensor([[CORNER, ELSEWHERE, FAR], [CORNER, ELSEWHERE, FAR]])
    scores = torch.tensor([[[0.9, 0.0], [0.8, 0.0], [0, 0]], [[0.7, 0.0], [0, 0], [0, 0]]])
    grader.update((boxes, scores), [objects(CORNER, FAR), objects(CORNER)])
    assert grader.metrics()["map"].value == pytest.approx((34 + 33 * 2 / 3) / 101)
    with pytest.raises(DataError, match="the class 2, and the network has 2"):
        grader.update((boxes, scores), [objects(CORNER, classes=[2])] * 2)
    with pytest.raises(DataError, match="masks"):
        grader.update((boxes, scores), [torch.zeros(64, 64)] * 2)


def test_without_pycocotools_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycocotools.coco", None)
    with pytest.raises(GdwsError, match="pycocotools") as caught:
        Detection("yolov8", (64, 64)).grader()
    assert "gdws[detection]" in caught.value.hint


def test_what_of_a_box_is_outside_of_the_image_counts_as_little_as_in_annotations():
    task = Detection(layout="boxes-scores", size=(40, 60))
    at_the_corner = torch.tensor([[[-10.0, -10.0, 10.0, 10.0], [50.0, 30.0, 70.0, 50.0]]])
    truth = objects(CORNER, [50.0, 30.0, 60.0, 40.0])
    grader = task.grader()
    grader.update((at_the_corner, torch.tensor([[[0.9], [0.8]]])), [truth])
    assert {name: figure.value for name, figure in grader.metrics().items()} == {"map": 1.0, "map_50": 1.0}
