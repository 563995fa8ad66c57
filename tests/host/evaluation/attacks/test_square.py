from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (the customary name)

from gdws.evaluation.attacks import balls
from gdws.evaluation.attacks.square import _eta, _side, square
from support.masked import Masked, problem

EPS = {"linf": 0.03, "l2": 0.25}


def attack(model: nn.Module, images: Tensor, labels: Tensor, norm: str, **changes) -> Tensor:
    settings = {"eps": EPS[norm], "queries": 60, "seed": 0, "indices": torch.arange(len(images)), **changes}
    return square(model, images, labels, norm=norm, **settings)


def fooled(model: nn.Module, found: Tensor, labels: Tensor) -> Tensor:
    with torch.no_grad():
        return model(found).argmax(dim=1) != labels


@pytest.mark.parametrize("norm", ["linf", "l2"])
class TestEachNorm:
    def test_it_stays_in_the_ball_and_in_the_range(self, norm):
        model, images, labels = problem()
        found = attack(model, images, labels, norm)
        assert float(balls.norms_of(found - images, norm).max()) <= EPS[norm] + 1e-5
        assert 0 <= float(found.min()) <= float(found.max()) <= 1

    def test_it_needs_no_gradient(self, norm):
        clear, images, labels = problem()
        rounded = Masked(clear, lambda n, x: n((x * 255).round() / 255)).eval()
        found = attack(rounded, images, labels, norm)
        assert int(fooled(rounded, found, labels).sum()) >= 12
        assert clear.linear.weight.grad is None

    def test_more_queries_fool_more_and_never_fewer(self, norm):
        model, images, labels = problem()
        counts = [
            int(fooled(model, attack(model, images, labels, norm, queries=n), labels).sum()) for n in (2, 20, 200)
        ]
        assert counts[0] < counts[1] < counts[2]

    def test_an_image_is_as_it_would_be_alone(self, norm):
        model, images, labels = problem(10)
        whole = attack(model, images, labels, norm)
        for rows in (torch.tensor([7]), torch.tensor([3, 9, 1])):
            some = attack(model, images[rows], labels[rows], norm, indices=rows)
            assert torch.allclose(some, whole[rows], atol=1e-6)

    def test_draws_follow_the_seed(self, norm):
        model, images, labels = problem(10)
        state = torch.get_rng_state()
        assert torch.equal(attack(model, images, labels, norm), attack(model, images, labels, norm))
        assert not torch.equal(attack(model, images, labels, norm), attack(model, images, labels, norm, seed=1))
        assert torch.equal(torch.get_rng_state(), state)

    def test_it_stops_asking_about_an_image_that_is_fooled(self, norm):
        model, images, labels = problem(10)
        wrong = (labels + 1) % 5
        sizes: list[int] = []
        handle = model.register_forward_pre_hook(lambda module, inputs: sizes.append(len(inputs[0])))
        attack(model, images, wrong, norm, eps=1e-6)
        handle.remove()
        assert sizes == [10]

    @pytest.mark.parametrize("shape", [(3, 4, 4), (1, 3, 9), (3, 17, 6), (2, 1, 1)])
    def test_images_of_any_shape(self, norm, shape):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], 3)).eval()
        images = torch.rand(5, *shape)
        found = attack(model, images, model(images).argmax(dim=1), norm, queries=30)
        assert bool(torch.isfinite(found).all())
        assert float(balls.norms_of(found - images, norm).max()) <= EPS[norm] + 1e-5

    def test_it_finds_about_as_much_as_torchattacks(self, norm):
        torchattacks = pytest.importorskip("torchattacks")
        clear = problem()[0]
        model = Masked(clear, lambda n, x: n(F.interpolate(x, size=(12, 12)))).eval()
        images = torch.rand(64, 1, 15, 15, generator=torch.Generator().manual_seed(2))  # its tiles must fill the image
        labels = model(images).argmax(dim=1)
        ours = fooled(model, attack(model, images, labels, norm, queries=100), labels).sum()
        theirs_norm = {"linf": "Linf", "l2": "L2"}[norm]
        with torch.random.fork_rng():
            other = torchattacks.Square(model, norm=theirs_norm, eps=EPS[norm], n_queries=100, p_init=0.8, seed=0)
            theirs = fooled(model, other(images, labels), labels).sum()
        assert abs(int(ours) - int(theirs)) <= 8  # of 64


def test_windows_shrink():
    shape = torch.Size([1, 1, 28, 28])
    sides = [_side(spent, shape) for spent in (0, 0.002, 0.01, 0.05, 0.3, 0.9)]
    assert sides == sorted(sides, reverse=True)
    assert (sides[0], sides[-1]) == (25, 1)


@pytest.mark.parametrize("side", [1, 2, 3, 4, 5, 9])
def test_a_bump_has_length_one_and_two_halves_against_each_other(side):
    bump = _eta(side)
    assert float(bump.norm()) == pytest.approx(1)
    assert bool((bump[: side // 2] >= 0).all())
    assert bool((bump[side // 2 :] <= 0).all())
