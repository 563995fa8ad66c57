"""The attack: where its images lie, what they achieve, and what it leaves untouched."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F  # noqa: N812

from gdws._util.modes import evaluation_mode
from gdws.evaluation.attacks import AttackSpec, balls
from gdws.evaluation.attacks.pgd import _pixel_counts, _sparse_step, pgd


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    layers = (nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 16, 3))
    return nn.Sequential(*layers).eval()


def batch(count: int = 12, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(count, 1, 6, 6, generator=generator)
    return images, torch.randint(3, (count,), generator=generator)


class Recorder(nn.Module):
    """Notes the size of each batch that passes."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.sizes: list[int] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(x))
        return self.inner(x)


@given(
    eps=st.floats(0, 1),
    step=st.floats(1e-3, 2),
    iterations=st.integers(1, 4),
    random_start=st.booleans(),
    restarts=st.integers(1, 3),
)
@settings(max_examples=30, deadline=None)
def test_images_stay_in_the_ball_and_in_pixel_range(eps, step, iterations, random_start, restarts):
    images, labels = batch(4)
    spec = AttackSpec(eps=eps, step=step, iterations=iterations, random_start=random_start, restarts=restarts)
    adversarial = pgd(network(), images, labels, spec)
    assert adversarial.shape == images.shape
    assert float(adversarial.min()) >= 0
    assert float(adversarial.max()) <= 1
    assert float((adversarial - images).abs().max()) <= eps + 1e-6


@pytest.mark.parametrize("random_start", [True, False])
def test_a_linear_network_is_attacked_optimally(random_start):
    """With two classes the worst image is known: each pixel at eps along the sign of the weights' difference."""
    torch.manual_seed(0)
    linear = nn.Linear(36, 2)
    images, _ = batch()
    labels = torch.zeros(len(images), dtype=torch.int64)
    adversarial = pgd(
        nn.Sequential(nn.Flatten(), linear),
        images,
        labels,
        AttackSpec(eps=0.1, step=0.05, iterations=5, random_start=random_start),
    )
    direction = (linear.weight[1] - linear.weight[0]).sign().reshape(1, 1, 6, 6)
    torch.testing.assert_close(adversarial, (images + 0.1 * direction).clamp(0, 1))


def test_the_loss_rises_more_than_under_noise():
    model, (images, labels) = network(), batch(64)
    spec = AttackSpec(eps=0.2, step=0.05, iterations=10)
    noise = pgd(model, images, labels, dataclasses.replace(spec, step=1e-12))
    adversarial = pgd(model, images, labels, spec)
    clean, noisy, attacked = (float(F.cross_entropy(model(x), labels).detach()) for x in (images, noise, adversarial))
    assert attacked > noisy + 0.1
    assert attacked > clean + 0.1


def test_budget_zero_returns_a_copy_of_the_images():
    images, labels = batch()
    recorder = Recorder(network())
    adversarial = pgd(recorder, images, labels, AttackSpec(eps=0))
    assert torch.equal(adversarial, images)
    assert adversarial.data_ptr() != images.data_ptr()
    assert recorder.sizes == []


def test_the_model_is_left_as_it_was():
    model, (images, labels) = network(), batch()
    model[0].weight.grad = torch.ones_like(model[0].weight)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    pgd(model, images, labels, AttackSpec(iterations=3, restarts=2))
    assert all(torch.equal(before[key], tensor) for key, tensor in model.state_dict().items())
    assert torch.equal(model[0].weight.grad, torch.ones_like(model[0].weight))
    assert model[4].weight.grad is None
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not any(module.training for module in model.modules())


def test_the_mode_is_the_callers():
    model, (images, labels) = network(), batch()
    model.train()
    model[1].eval()
    pgd(model, images, labels, AttackSpec(iterations=1))
    assert [module.training for module in model] == [True, False, True, True, True]


def test_images_and_labels_are_left_as_they_were():
    images, labels = batch()
    before = images.clone()
    pgd(network(), images, labels, AttackSpec(iterations=2, restarts=2))
    assert torch.equal(images, before)
    assert not images.requires_grad


def test_the_result_does_not_depend_on_the_batches():
    model, (images, labels) = network(), batch()
    spec = AttackSpec(iterations=4, step=0.05, restarts=3)
    whole = pgd(model, images, labels, spec)
    for part in (torch.arange(5), torch.arange(5, 12), torch.tensor([7, 2])):
        alone = pgd(model, images[part], labels[part], spec, indices=part)
        torch.testing.assert_close(alone, whole[part])


def test_the_random_start_follows_the_seed():
    model, (images, labels) = network(), batch()
    first, again, other = (
        pgd(model, images, labels, AttackSpec(step=1e-6, iterations=1, seed=seed)) for seed in (3, 3, 4)
    )
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)
    spread = (first - images).abs()
    assert 0.05 < float(spread.mean()) < 0.15  # uniform in [-0.2, 0.2], clipped at the ends of the range


def test_torchs_generator_is_left_alone():
    model = network()
    before = torch.get_rng_state()
    pgd(model, *batch(), AttackSpec(iterations=1))
    assert torch.equal(torch.get_rng_state(), before)


def test_restarts_run_only_on_images_not_fooled_yet():
    model, (images, labels) = network(), batch(40)
    once = AttackSpec(eps=0.05, step=0.01, iterations=2)
    first = pgd(model, images, labels, once)
    fooled = model(first).argmax(dim=1) != labels
    assert 0 < int(fooled.sum()) < 40
    recorder = Recorder(model)
    thrice = pgd(recorder, images, labels, dataclasses.replace(once, restarts=2))
    assert torch.equal(thrice[fooled], first[fooled])
    assert not torch.equal(thrice[~fooled], first[~fooled])
    assert recorder.sizes == [40, 40, 40] + [int((~fooled).sum())] * 2


def test_restarts_end_when_every_image_is_fooled():
    model, (images, _) = network(), batch()
    wrong = (model(images).argmax(dim=1) + 1) % 3
    recorder = Recorder(model)
    pgd(recorder, images, wrong, AttackSpec(eps=1e-6, step=1e-7, iterations=1, restarts=50))
    assert recorder.sizes == [12, 12]


@pytest.mark.parametrize("frozen", [True, False])
def test_a_constant_network_gives_no_direction(frozen):
    class Constant(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bias = nn.Parameter(torch.zeros(3), requires_grad=not frozen)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.bias.expand(len(x), 3)

    images, labels = batch()
    spec = AttackSpec(random_start=False, iterations=3)
    assert torch.equal(pgd(Constant(), images, labels, spec), images)


def test_it_works_where_gradients_are_off():
    model, (images, labels) = network(), batch()
    spec = AttackSpec(iterations=3, step=0.05)
    expected = pgd(model, images, labels, spec)
    with torch.no_grad():
        assert torch.equal(pgd(model, images, labels, spec), expected)
        assert not torch.is_grad_enabled()
    with torch.inference_mode():
        inference_images, inference_labels = images.clone(), labels.clone()
        adversarial = pgd(model, inference_images, inference_labels, spec)
    assert torch.equal(adversarial, expected)
    assert not adversarial.requires_grad


def test_bn_statistics_follow_the_attack_only_in_training_mode():
    model, (images, labels) = network(), batch()
    model.train()
    before = model[1].running_mean.clone()
    with evaluation_mode(model):
        pgd(model, images, labels, AttackSpec(iterations=1))
    assert torch.equal(model[1].running_mean, before)
    assert all(module.training for module in model)


@pytest.mark.parametrize("norm", ["l2", "l1"])
@given(eps=st.floats(0, 5), iterations=st.integers(1, 4), random_start=st.booleans(), restarts=st.integers(1, 3))
@settings(max_examples=20, deadline=None)
def test_images_stay_in_the_balls_of_other_norms(norm, eps, iterations, random_start, restarts):
    images, labels = batch(4)
    spec = AttackSpec(norm=norm, eps=eps, step=1.0, iterations=iterations, random_start=random_start, restarts=restarts)
    adversarial = pgd(network(), images, labels, spec)
    assert float(adversarial.min()) >= 0
    assert float(adversarial.max()) <= 1
    assert float(balls.norms_of(adversarial - images, norm).max()) <= eps + 1e-5


def linear_problem() -> tuple[nn.Module, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two classes, the weights' difference (1, 1, 6, 6), and grey images from which no pixel need leave the range."""
    torch.manual_seed(0)
    linear = nn.Linear(36, 2)
    direction = (linear.weight[1] - linear.weight[0]).detach().reshape(1, 1, 6, 6)
    return nn.Sequential(nn.Flatten(), linear), direction, torch.full((5, 1, 6, 6), 0.5), torch.zeros(5).long()


@pytest.mark.parametrize("random_start", [True, False])
def test_a_linear_network_is_attacked_optimally_in_l2(random_start):
    model, direction, images, labels = linear_problem()
    spec = AttackSpec(norm="l2", eps=0.5, step=0.2, iterations=60, random_start=random_start)
    expected = images + 0.5 * direction / direction.norm()
    torch.testing.assert_close(pgd(model, images, labels, spec), expected, atol=2e-3, rtol=0)


def test_a_linear_network_is_attacked_nearly_optimally_in_l1():
    """The best is to put all into the pixels of the largest weights until they reach the end of the range."""
    model, direction, images, labels = linear_problem()
    spec = AttackSpec(norm="l1", eps=2.0, step=1.0, iterations=60, random_start=False)
    gained = ((pgd(model, images, labels, spec) - images) * direction).sum(dim=(1, 2, 3))
    best = direction.abs().flatten().sort(descending=True).values[:4].sum() * 0.5
    assert (gained > 0.85 * best).all()
    assert (gained <= best + 1e-5).all()


def test_an_l1_step_moves_the_pixels_of_largest_gradient_that_can_move():
    gradient = torch.tensor([5.0, -4.0, 3.0, 2.0, -1.0, 0.5]).reshape(1, 1, 2, 3)
    x = torch.tensor([0.97, 0.5, 0.5, 0.0, 0.03, 0.5]).reshape(1, 1, 2, 3)
    # The first and the fifth are within the gap of their end, the fourth is at an end.
    step = _sparse_step(gradient, x, torch.tensor([2]))
    assert step.flatten().tolist() == [0, -0.5, 0.5, 0, 0, 0]
    wide = _sparse_step(gradient, x, torch.tensor([6]))
    torch.testing.assert_close(wide.flatten(), torch.tensor([0, -1, 1, 0, 0, 1]) / 6)


def test_l1_steps_draw_their_pixels_by_image():
    spec = AttackSpec(norm="l1", eps=1, step=1, iterations=200)
    drawn = _pixel_counts(torch.tensor([4, 7]), 0, spec)
    assert (int(drawn.min()), int(drawn.max())) == (5, 20)
    assert torch.equal(_pixel_counts(torch.tensor([7]), 0, spec)[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[1])


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_results_in_other_norms_do_not_depend_on_the_batches(norm):
    model, (images, labels) = network(), batch()
    spec = AttackSpec(norm=norm, eps=0.3, step=0.1, iterations=4, restarts=2, random_start=False)
    whole = pgd(model, images, labels, spec)
    for part in (torch.arange(5), torch.arange(5, 12), torch.tensor([7, 2])):
        torch.testing.assert_close(pgd(model, images[part], labels[part], spec, indices=part), whole[part])


def test_after_a_start_at_the_image_restarts_are_random():
    images, labels = batch(40)
    model = network()
    spec = AttackSpec(eps=0.02, step=1e-6, iterations=1, random_start=False)
    once = pgd(model, images, labels, spec)
    twice = pgd(model, images, labels, dataclasses.replace(spec, restarts=2))
    assert float((once - images).abs().max()) < 1e-5
    assert float((twice - images).abs().max()) > 0.01


def test_it_agrees_with_another_implementation():
    """Same start, same steps: torchattacks' PGD in l_inf and l_2 from the image itself."""
    torchattacks = pytest.importorskip("torchattacks")
    model, (images, labels) = network(), batch(30)
    ours = pgd(model, images, labels, AttackSpec(eps=0.1, step=0.03, iterations=7, random_start=False))
    theirs = torchattacks.PGD(model, eps=0.1, alpha=0.03, steps=7, random_start=False)(images, labels)
    torch.testing.assert_close(ours, theirs)
    spec = AttackSpec(norm="l2", eps=0.4, step=0.1, iterations=7, random_start=False)
    theirs = torchattacks.PGDL2(model, eps=0.4, alpha=0.1, steps=7, random_start=False)(images, labels)
    torch.testing.assert_close(pgd(model, images, labels, spec), theirs, atol=1e-5, rtol=0)
