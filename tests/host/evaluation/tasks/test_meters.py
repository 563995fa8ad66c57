"""What is said of two networks' outputs."""

from __future__ import annotations

import pytest
import torch

from gdws.errors import ModelError
from gdws.evaluation.tasks import Classification, Outputs, Segmentation
from gdws_contract.measures import Figure, Proportion


def measured(task, found, reference):
    """In two batches."""
    meter = task.meter()
    for rows in (slice(0, 1), slice(1, None)):
        meter.update(*(_rows(each, rows) for each in (found, reference)))
    return meter.metrics()


def _rows(output, rows):
    return tuple(each[rows] for each in output) if isinstance(output, tuple) else output[rows]


def test_classification_counts_equal_classes():
    found, reference = torch.tensor([[0.0, 1], [1, 0], [2, 1]]), torch.tensor([[0.0, 9], [0, 1], [1, 0]])
    agreement = measured(Classification(), found, reference)["agreement"]
    assert (agreement.successes, agreement.count) == (2, 3)


def test_errors_of_outputs():
    reference = torch.tensor([[3.0, 4.0], [0.0, 12.0], [0.0, 1.0]])
    moved = reference + torch.tensor([0.5, 0.0])
    found = measured(Outputs(), moved, reference)
    assert found["relative_error"].value == pytest.approx((0.75 / 170) ** 0.5)
    assert found["largest_error"].value == pytest.approx(0.5)
    assert found["cosine"].value == pytest.approx(float(torch.cosine_similarity(moved, reference).mean()))
    assert [name for name, each in found.items() if each.higher_is_better] == ["cosine"]
    interval = found["relative_error"].interval
    assert interval.low < found["relative_error"].value < interval.high


def test_each_of_several_outputs_has_its_figures():
    reference = (torch.rand(4, 2, 3, 3), torch.tensor([1, 2, 3, 4]))
    found = measured(Outputs(), (reference[0], torch.tensor([1, 2, 3, 5])), reference)
    assert found["relative_error.output_0"].value == 0
    assert isinstance(found["equal.output_1"], Proportion)
    assert found["equal.output_1"].value == 0.75


def test_outputs_that_are_all_zero_have_no_relative_error():
    assert set(measured(Outputs(), torch.ones(3, 2, 2), torch.zeros(3, 2, 2))) == {"largest_error"}


def test_a_metric_of_the_users_own():
    task = Outputs(lambda found, reference: -(found - reference).abs().amax(dim=1), "worst")
    found = measured(task, torch.tensor([[1.0, 2], [3, 4], [5, 7]]), torch.tensor([[1.0, 2], [3, 4], [5, 6]]))
    assert next(iter(found)) == "worst"
    assert isinstance(found["worst"], Figure)
    assert found["worst"].value == pytest.approx(-1 / 3)
    assert found["worst"].higher_is_better


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (lambda found, reference: 1.0, "values of shape"),
        (lambda found, reference: found[:, 0] / 0, "values of shape"),
        (lambda found, reference: {}[1], "raises"),
    ],
)
def test_a_metric_that_gives_no_figures_is_refused(metric, message):
    with pytest.raises(ModelError, match=message):
        Outputs(metric, "mine").meter().update(torch.rand(2, 3), torch.rand(2, 3))


def test_other_shapes_are_refused():
    with pytest.raises(ModelError, match="before conversion"):
        Outputs().meter().update(torch.rand(2, 3), torch.rand(2, 4))


def maps(*classes: list[int]) -> torch.Tensor:
    """Scores (N, 3, 1, W) of images of these classes."""
    return torch.nn.functional.one_hot(torch.tensor(classes), 3).movedim(-1, 1)[:, :, None].float()


def test_segmentation_by_pixels_and_by_regions():
    found = measured(Segmentation(), maps([0, 0, 1, 1], [2, 2, 2, 0]), maps([0, 0, 0, 1], [2, 2, 2, 0]))
    assert found["pixel_agreement"].value == 7 / 8
    assert found["iou_agreement"].value == pytest.approx((3 / 4 + 1 / 2 + 1) / 3)


@pytest.mark.parametrize(
    ("scores", "classes"),
    [
        (torch.tensor([[[[0.2, 0.7]]]]), [0, 1]),  # probabilities
        (torch.tensor([[[[-1.0, 0.3]]]]), [0, 1]),  # logits
        (torch.tensor([[[3, 1]]]), [3, 1]),  # classes
    ],
)
def test_a_single_score_and_classes_themselves(scores, classes):
    from gdws.evaluation.tasks.segmentation import classes_of

    assert classes_of(scores).flatten().tolist() == classes
