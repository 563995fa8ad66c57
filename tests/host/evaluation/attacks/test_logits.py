from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (the customary name)

from gdws.evaluation.attacks.logits import Logits, are_probabilities, as_logits
from support.masked import Clear, Masked, jpeg

X = torch.rand(6, 1, 12, 12, generator=torch.Generator().manual_seed(0))


def gradient(model: nn.Module, *, straight_through: bool = False) -> Tensor:
    x = X.clone().requires_grad_(True)
    Logits(model.eval(), straight_through=straight_through)(x)[:, 0].sum().backward()
    return x.grad


@pytest.mark.parametrize(
    "mask",
    [
        lambda n, x: F.softmax(n(x), dim=1),
        lambda n, x: torch.softmax(n(x), -1),
        lambda n, x: n(x).softmax(dim=-1),
        lambda n, x: nn.Softmax(dim=1)(n(x)),
        lambda n, x: nn.LogSoftmax(dim=1)(n(x)),
        lambda n, x: n(x).log_softmax(1),
        lambda n, x: torch.log(n(x).softmax(1)),
        lambda n, x: nn.Sigmoid()(n(x)),
        lambda n, x: torch.tanh(n(x)).sigmoid(),
    ],
    ids=range(9),
)
def test_what_goes_into_the_last_squashing_is_seen(mask):
    clear = Clear().eval()
    model = Masked(clear, lambda n, x: mask(lambda images: 1000 * n(images), x))
    assert torch.equal(Logits(model)(X), 1000 * clear(X))


@pytest.mark.parametrize(
    "mask",
    [
        lambda n, x: n(x).softmax(1) @ torch.eye(5).flip(0),  # more follows
        lambda n, x: n(x).softmax(0),  # along the images
        lambda n, x: n(x.sigmoid()),  # at the front
        lambda n, x: n(x),
    ],
    ids=["inside", "along the batch", "in front", "none"],
)
def test_squashing_that_is_not_last_or_not_of_rows_stays(mask):
    model = Masked(Clear(), mask).eval()
    assert torch.equal(Logits(model)(X), as_logits(model(X)))


def test_probabilities_of_unknown_origin_are_given_as_logarithms():
    own = Masked(Clear(), lambda n, x: (n(x) / 50).exp() / (n(x) / 50).exp().sum(dim=1, keepdim=True))
    assert torch.allclose(Logits(own)(X).softmax(dim=1), own(X), atol=1e-6)
    given = torch.tensor([[1.0, 0.0], [2.0, 3.0]], requires_grad=True)
    certain = as_logits(given)
    assert certain[0].tolist() == pytest.approx([0, -87.3365], abs=1e-3)  # the smallest normal number
    assert certain[1].tolist() == [2, 3]
    assert bool(torch.isfinite(torch.autograd.grad(certain.sum(), given)[0]).all())


def test_probabilities_are_told_row_by_row():
    rows = torch.tensor([[0.2, 0.8], [0.2, 0.9], [-0.1, 1.1], [1.0, 0.0]])
    assert are_probabilities(rows).tolist() == [True, False, False, True]


@pytest.mark.parametrize(
    "step",
    [
        lambda x: (x * 255).round() / 255,
        lambda x: torch.round(x * 255) / 255,
        lambda x: torch.floor(x * 255) / 255,
        lambda x: (x * 255).ceil() / 255,
        lambda x: (x * 255).trunc() / 255,
        jpeg,
    ],
    ids=["method", "round", "floor", "ceil", "trunc", "jpeg"],
)
def test_gradients_go_straight_through_steps(step: Callable[[Tensor], Tensor]):
    model = Masked(Clear(), lambda n, x: n(step(x)))
    assert torch.count_nonzero(gradient(model)) == 0
    found, expected = gradient(model, straight_through=True), gradient(Clear())
    assert F.cosine_similarity(found.flatten(1), expected.flatten(1)).min() > 0.9
    assert torch.equal(Logits(model, straight_through=True)(X), model(X))


def test_signs_pass_gradients_on():
    model = Masked(Clear(), lambda n, x: n.linear(torch.sign(n.conv(x)).flatten(1)))
    assert torch.count_nonzero(gradient(model)) == 0
    assert torch.count_nonzero(gradient(model, straight_through=True)) > 0


def test_a_network_without_steps_is_left_alone():
    assert torch.equal(gradient(Clear(), straight_through=True), gradient(Clear()))
    assert Logits(Clear()).network.linear.weight.grad is None
