"""Tasks told from outputs."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gdws.errors import GdwsError, ModelError
from gdws.evaluation.tasks import Choice, Classification, Detection, Outputs, Segmentation, task_of


class Giving(nn.Module):
    """Gives what ``make`` makes of the number of images, whatever they show."""

    def __init__(self, make) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3)
        self.make = make

    def forward(self, x):
        return self.make(len(x))


CELLS = (64 // 8) ** 2 + (64 // 16) ** 2 + (64 // 32) ** 2


@pytest.mark.parametrize(
    ("make", "task"),
    [
        (lambda n: torch.rand(n, 10), Classification()),
        (lambda n: torch.rand(n, 1), Outputs()),
        (lambda n: torch.rand(n, 10).argmax(dim=1), Outputs()),
        (lambda n: (torch.rand(n, 10), torch.rand(n, 3)), Outputs()),
        (lambda n: torch.rand(n, 21, 64, 64), Segmentation()),
        (lambda n: {"out": torch.rand(n, 2, 64, 64), "aux": torch.rand(n, 2, 64, 64)}, Segmentation()),
        (lambda n: (torch.rand(n, 2, 64, 64), torch.rand(n, 7)), Outputs()),
        (lambda n: torch.rand(n, 3, 64, 64), Outputs()),
        (lambda n: torch.rand(n, 8, 32, 32), Outputs()),
        (lambda n: torch.rand(n, 4 + 6, CELLS), Detection("yolov8", (64, 64))),
        (lambda n: (torch.rand(n, 4 + 6, CELLS), [torch.rand(n, 9, 8, 8)]), Detection("yolov8", (64, 64))),
        (lambda n: torch.rand(n, 3 * CELLS, 11) + 0.1, Detection("yolov5", (64, 64))),
        (lambda n: torch.randn(n, CELLS, 11), Detection("yolox", (64, 64))),
        (lambda n: torch.rand(n, 4 + 6, CELLS + 1), Outputs()),
    ],
)
def test_the_task_is_recognised_by_the_outputs(make, task):
    assert task_of(Giving(make), (3, 64, 64)) == task


def test_boxes_and_scores_are_detection_only_if_that_is_said():
    network = Giving(lambda n: (torch.rand(n, 50, 4), torch.rand(n, 50, 6)))
    assert task_of(network, (3, 64, 64)) == Outputs()
    assert task_of(network, (3, 64, 64), Choice("detection")) == Detection("boxes-scores", (64, 64))


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda n: torch.rand(n, 3, 4), "classification", "logits"),
        (lambda n: torch.rand(n, 3, 4), "segmentation", "scores"),
        (lambda n: torch.rand(n, 3, 4), "detection", "not a (known )?detection head"),
        (lambda n: torch.rand(3, 4), "outputs", "has the shape"),
        (lambda n: "text", "auto", "no tensor"),
        (lambda n: (torch.rand(n, 2), torch.rand(n, 3) / 0), "outputs", "NaN or infinity"),
    ],
)
def test_a_network_of_another_task_is_refused_with_the_fix(make, kind, message):
    with pytest.raises(ModelError, match=message) as refused:
        task_of(Giving(make), (3, 64, 64), Choice(kind))
    assert refused.value.hint


def test_a_metric_makes_it_outputs():
    found = task_of(Giving(lambda n: torch.rand(n, 10)), (3, 64, 64), Choice(metric=len, metric_name="mine"))
    assert found == Outputs(len, "mine")


@pytest.mark.parametrize(
    "choice", [{"kind": "keypoints"}, {"kind": "classification", "metric": len}, {"score_threshold": 25.0}]
)
def test_a_choice_that_makes_no_sense_is_refused(choice):
    with pytest.raises(GdwsError) as refused:
        Choice(**choice)
    assert refused.value.hint
