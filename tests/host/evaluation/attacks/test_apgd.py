"""The adaptive attack: its schedule, where its images lie, and that it is no weaker than PGD and another library's."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from gdws.evaluation.attacks import AttackSpec, balls
from gdws.evaluation.attacks.apgd import _likeliest, _review, _State, apgd, checkpoints
from gdws.evaluation.attacks.ascent import targeted_margin
from gdws.evaluation.attacks.pgd import pgd

SPEC = AttackSpec(name="apgd", eps=0.05, step=None, iterations=20)


def network(classes: int = 5) -> nn.Sequential:
    torch.manual_seed(0)
    layers = (nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 16, 16), nn.ReLU(), nn.Linear(16, classes))
    model = nn.Sequential(*layers).eval()
    with torch.no_grad():
        model[-1].weight *= 10
    return model


def batch(model: nn.Module, count: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.rand(count, 1, 6, 6, generator=torch.Generator().manual_seed(1))
    return images, model(images).argmax(dim=1)


def right(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> int:
    return int((model(images).argmax(dim=1) == labels).sum())


def test_the_checkpoints_are_those_of_the_paper():
    assert checkpoints(100) == [22, 41, 57, 70, 80, 87, 93, 99]
    assert checkpoints(1) == [1]


def test_the_likeliest_other_classes_come_first():
    logits = torch.tensor([[1.0, 4.0, 2.0, 3.0], [9.0, 0.0, 5.0, 1.0]])
    assert _likeliest(logits, torch.tensor([1, 0])).tolist() == [[3, 2, 0], [2, 3, 1]]


def test_the_targeted_margin_is_free_of_scale_and_shift():
    logits, labels, targets = torch.randn(6, 7), torch.arange(6), torch.full((6,), 6)
    margin = targeted_margin(labels, targets)
    torch.testing.assert_close(margin(logits), margin(5 * logits + 3), atol=1e-4, rtol=1e-4)
    ordered = logits.sort(dim=1, descending=True).values
    spread = ordered[:, 0] - (ordered[:, 2] + ordered[:, 3]) / 2
    torch.testing.assert_close(margin(logits), (logits[:, 6] - logits[torch.arange(6), labels]) / spread)


def test_of_few_classes_the_margin_is_the_difference():
    logits = torch.tensor([[1.0, 4.0, 2.0]])
    assert targeted_margin(torch.tensor([1]), torch.tensor([2]))(logits).tolist() == [-2]


@pytest.mark.parametrize(("norm", "eps"), [("linf", 0.05), ("l2", 0.4)])
@pytest.mark.parametrize("random_start", [True, False])
def test_images_stay_in_the_ball_and_those_not_fooled_stay_as_they_were(norm, eps, random_start):
    model = network()
    images, labels = batch(model)
    spec = dataclasses.replace(SPEC, norm=norm, eps=eps, random_start=random_start)
    found = apgd(model, images, labels, spec)
    assert float(found.min()) >= 0
    assert float(found.max()) <= 1
    assert float(balls.norms_of(found - images, norm).max()) <= eps + 1e-5
    resist = model(found).argmax(dim=1) == labels
    assert 0 < int(resist.sum()) < len(labels)
    assert torch.equal(found[resist], images[resist])


@pytest.mark.parametrize(("norm", "eps", "step"), [("linf", 0.04, 0.01), ("l2", 0.3, 0.08)])
def test_it_is_no_weaker_than_pgd(norm, eps, step):
    model = network()
    images, labels = batch(model, 200)
    spec = dataclasses.replace(SPEC, norm=norm, eps=eps)
    plain = AttackSpec(norm=norm, eps=eps, step=step, iterations=20)
    assert right(model, apgd(model, images, labels, spec), labels) <= right(
        model, pgd(model, images, labels, plain), labels
    )


@pytest.mark.parametrize(("norm", "eps"), [("linf", 0.04), ("l2", 0.3)])
def test_it_fools_as_many_as_another_implementation(norm, eps):
    torchattacks = pytest.importorskip("torchattacks")
    model = network()
    images, labels = batch(model, 200)
    ours = right(model, apgd(model, images, labels, dataclasses.replace(SPEC, norm=norm, eps=eps)), labels)
    with torch.random.fork_rng():
        options = {"norm": {"linf": "Linf", "l2": "L2"}[norm], "eps": eps, "steps": 20}
        after = torchattacks.APGD(model, **options)(images, labels)
        left = model(after).argmax(dim=1) == labels
        targeted = torchattacks.APGDT(model, n_classes=5, **options)(images[left], labels[left])
    assert abs(ours - right(model, targeted, labels[left])) <= 3


def test_a_linear_network_is_attacked_optimally():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 2))
    images = torch.rand(300, 1, 6, 6)
    labels = model(images).argmax(dim=1)
    weights = (model[1].weight[1] - model[1].weight[0]).detach().reshape(1, 1, 6, 6)
    towards = torch.where(labels == 1, -1.0, 1.0).reshape(-1, 1, 1, 1) * weights.sign()
    worst = (images + 0.05 * towards).clamp(0, 1)
    assert right(model, apgd(model, images, labels, SPEC), labels) == right(model, worst, labels)


def test_the_result_does_not_depend_on_the_batches_and_follows_the_seed():
    model = network()
    images, labels = batch(model)
    whole = apgd(model, images, labels, SPEC)
    for part in (torch.arange(7), torch.arange(7, 40), torch.tensor([9, 2])):
        torch.testing.assert_close(apgd(model, images[part], labels[part], SPEC, indices=part), whole[part])
    assert not torch.equal(apgd(model, images, labels, dataclasses.replace(SPEC, seed=1)), whole)


def test_fooled_images_are_not_run_any_longer():
    class Counting(nn.Module):
        seen = 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            Counting.seen += len(x)
            return inner(x)

    inner = network()
    images, labels = batch(inner)
    apgd(Counting(), images, (labels + 1) % 5, SPEC)  # wrong from the start
    assert Counting.seen == 40
    Counting.seen = 0
    apgd(Counting(), images, labels, dataclasses.replace(SPEC, eps=1.0))  # all fooled within a few steps
    assert Counting.seen < 40 * 12


@pytest.mark.parametrize("classes", [2, 3, 12])
def test_any_number_of_classes_will_do(classes):
    model = network(classes)
    images, labels = batch(model, 10)
    assert apgd(model, images, labels, dataclasses.replace(SPEC, iterations=3)).shape == images.shape


def test_a_budget_of_zero_and_a_flat_network_change_nothing():
    model = network()
    images, labels = batch(model, 4)
    assert torch.equal(apgd(model, images, labels, dataclasses.replace(SPEC, eps=0)), images)

    class Flat(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.one_hot(torch.zeros(len(x), dtype=torch.int64), 5).float()

    assert torch.equal(apgd(Flat(), images, torch.zeros(4).long(), SPEC), images)


def test_weights_get_no_gradient():
    model = network()
    with torch.no_grad():
        apgd(model, *batch(model, 4), SPEC)
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())


def test_a_review_halves_the_step_of_those_without_progress_and_takes_them_back():
    """Four images after ten steps: steady rise; too few rises; no better best; the same, but halved last time."""
    count = 4
    x, best = torch.zeros(count, 1, 1, 1), torch.ones(count, 1, 1, 1)
    ones = torch.ones(count)
    state = _State(
        rows=torch.arange(count),
        images=x,
        labels=torch.zeros(count),
        logits=x,
        x=x,
        previous=x,
        gradient=x,
        losses=0 * ones,
        best=best,
        best_gradient=best,
        best_loss=ones,
        step=ones,
        rises=torch.tensor([9, 5, 9, 9]),
        loss_at_review=torch.tensor([0.5, 0.5, 1.0, 1.0]),
        halved=torch.tensor([False, False, False, True]),
    )
    after = _review(state, 10)
    assert after.step.tolist() == [1, 0.5, 0.5, 1]
    assert after.x.flatten().tolist() == after.gradient.flatten().tolist() == [0, 1, 1, 0]
    assert after.halved.tolist() == [False, True, True, False]
    assert after.rises.tolist() == [0] * count
    assert after.loss_at_review.tolist() == [1] * count
