from __future__ import annotations

import dataclasses
import sys

import pytest
import torch
from torch import nn

from gdws.errors import GdwsError
from gdws.evaluation.attacks import AttackSpec, balls
from gdws.evaluation.attacks.apgd import apgd
from gdws.evaluation.attacks.run import perturb

SPEC = AttackSpec(name="autoattack", eps=0.03, step=None, iterations=5)


class Masked(nn.Module):
    """Rounds its logits, so that gradients tell nothing and only queries can fool it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(36, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.linear(x.flatten(1)) * 20).round()


def batch(model: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.rand(12, 1, 6, 6, generator=torch.Generator().manual_seed(1))
    return images, model(images).argmax(dim=1)


def fooled(model: nn.Module, found: torch.Tensor, labels: torch.Tensor) -> int:
    return int((model(found).argmax(dim=1) != labels).sum())


def test_a_missing_package_is_said_with_the_fix(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchattacks", None)
    with pytest.raises(GdwsError, match="needs the package torchattacks") as caught:
        perturb(Masked(), *batch(Masked()), SPEC)
    assert "gdws[autoattack]" in caught.value.hint


@pytest.mark.parametrize(("norm", "eps"), [("linf", 0.03), ("l2", 0.15)])
def test_it_finds_what_gradients_hide_and_stays_in_the_ball(norm, eps, monkeypatch):
    pytest.importorskip("torchattacks")
    monkeypatch.setattr("gdws.evaluation.attacks.autoattack.QUERIES", 100)
    model = Masked()
    images, labels = batch(model)
    spec = dataclasses.replace(SPEC, norm=norm, eps=eps)
    state, weight = torch.get_rng_state(), model.linear.weight
    found = perturb(model, images, labels, spec)
    assert fooled(model, found, labels) > fooled(model, apgd(model, images, labels, spec), labels)
    assert float(balls.norms_of(found - images, norm).max()) <= eps + 1e-5
    assert torch.equal(torch.get_rng_state(), state)
    assert weight.grad is None
    assert weight.requires_grad
    assert torch.equal(perturb(model, images, labels, spec), found)


def test_a_budget_of_zero_returns_the_images():
    pytest.importorskip("torchattacks")
    images, labels = batch(Masked())
    assert torch.equal(perturb(Masked(), images, labels, dataclasses.replace(SPEC, eps=0)), images)
