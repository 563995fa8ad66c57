from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from gdws.attacks import AttackSpec
from gdws.errors import DataError, GdwsError, ModelError
from gdws.evaluate import evaluate
from gdws_contract.manifest import HostEvaluation


class Brightness(nn.Module):
    """Class 1 above mean brightness one half, else class 0; notes the size of each batch."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0))
        self.dropout = nn.Dropout(0.9)
        self.sizes: list[int] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(x))
        over = self.dropout(x).mean(dim=(1, 2, 3)) - 0.5
        return torch.stack([-over, over], dim=1) * self.scale


def grey(*levels: float) -> torch.Tensor:
    return torch.tensor(levels).reshape(-1, 1, 1, 1).expand(-1, 1, 4, 4).clone()


IMAGES = grey(0.1, 0.45, 0.55, 0.9, 0.95)
LABELS = torch.tensor([0, 0, 1, 1, 0])  # the last is misclassified
ATTACK = AttackSpec(eps=0.1, step=0.05, iterations=10)


def test_natural_and_robust_accuracy_are_counted():
    result = evaluate(Brightness(), IMAGES, LABELS, ATTACK)
    assert (result.natural.successes, result.natural.count) == (4, 5)
    assert result.robust is not None
    assert (result.robust.successes, result.robust.count) == (
        2,
        5,
    )  # 0.45 and 0.55 can be moved over one half
    assert result.natural.interval is not None
    assert result.natural.interval.low == pytest.approx(0.3755, abs=1e-4)


def test_without_an_attack_nothing_is_said_of_robustness():
    result = evaluate(Brightness(), IMAGES, LABELS)
    assert (result.robust, result.attack) == (None, None)


def test_budget_zero_is_natural_accuracy():
    result = evaluate(Brightness(), IMAGES, LABELS, AttackSpec(eps=0))
    assert result.robust == result.natural


def test_misclassified_images_are_not_attacked():
    model = Brightness()
    evaluate(model, IMAGES, LABELS, AttackSpec(eps=0.1, step=0.05, iterations=3))
    assert model.sizes == [5, 4, 4, 4, 4]


def test_a_batch_that_is_all_wrong_is_not_attacked():
    model = Brightness()
    result = evaluate(model, IMAGES, 1 - LABELS, ATTACK, batch_size=4)
    assert result.robust is not None
    assert (result.natural.successes, result.robust.successes) == (1, 1)
    assert model.sizes == [4, 1, *[1] * 11]


def test_the_result_does_not_depend_on_the_batch_size_and_follows_the_seed():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    images, labels = torch.rand(40, 1, 4, 4), torch.randint(3, (40,))

    def robust(batch_size: int, seed: int) -> int:
        spec = AttackSpec(eps=0.6, step=1e-4, iterations=1, seed=seed)
        found = evaluate(model, images, labels, spec, batch_size=batch_size).robust
        assert found is not None
        return found.successes

    assert robust(40, 0) == robust(7, 0) == robust(1, 0)
    assert len({robust(40, seed) for seed in range(5)}) > 1


@pytest.mark.parametrize("training", [True, False])
def test_the_network_runs_in_evaluation_mode_and_is_left_as_it_was(training):
    model = Brightness().train(training)
    assert evaluate(model, IMAGES, LABELS).natural.successes == 4  # dropout would spoil this
    assert (model.training, model.dropout.training) == (training, training)
    assert model.scale.grad is None


def test_the_mode_is_put_back_after_an_error():
    model = Brightness().train()
    with pytest.raises(DataError):
        evaluate(model, IMAGES, LABELS + 5)
    assert model.dropout.training


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_are_an_error(value):
    model = Brightness()
    model.scale.data.fill_(value)
    with pytest.raises(ModelError, match="NaN or infinity"):
        evaluate(model, IMAGES, LABELS, ATTACK)


def test_an_output_that_is_no_logits_is_an_error():
    with pytest.raises(ModelError, match=r"\(5, 1, 4, 4\)"):
        evaluate(nn.Identity(), IMAGES, LABELS)


@pytest.mark.parametrize("labels", [LABELS + 1, LABELS - 1])
def test_labels_beyond_the_classes_are_an_error(labels):
    with pytest.raises(DataError, match="2 classes"):
        evaluate(Brightness(), IMAGES, labels)


def test_images_out_of_range_are_an_error():
    with pytest.raises(DataError, match=r"scale|from"):
        evaluate(Brightness(), IMAGES * 255, LABELS)


def test_batch_size_zero_is_an_error():
    with pytest.raises(GdwsError, match="batch size is 0"):
        evaluate(Brightness(), IMAGES, LABELS, batch_size=0)


def test_progress_counts_each_image_once():
    class Notes:
        total = 0
        done = 0
        figures: dict[str, float | str] | None = None

        def start(self, total: int, description: str) -> None:
            self.total = total

        def advance(self, n: int = 1, **figures: float | str) -> None:
            self.done += n
            self.figures = figures

    notes = Notes()
    evaluate(Brightness(), IMAGES, LABELS, ATTACK, batch_size=2, progress=notes)
    assert (notes.total, notes.done) == (5, 5)
    assert notes.figures == {"natural": "80.00%", "robust": "40.00%"}


@pytest.mark.parametrize("attack", [ATTACK, None])
def test_its_fields_are_those_of_the_contract(attack):
    result = evaluate(Brightness(), IMAGES, LABELS, attack)
    stored = json.loads(json.dumps(result.to_dict()))
    known = HostEvaluation(data="grey", natural=stored["natural"], robust=stored["robust"], attack=stored["attack"])
    assert (known.natural, known.robust) == (result.natural, result.robust)
    assert stored["torch_version"] == torch.__version__
    assert stored["duration_s"] > 0
