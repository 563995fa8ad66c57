"""Losses that attacks raise."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gdws.evaluation.attacks.ascent import Objective, cross_entropy, margin, scale_free_cross_entropy

LOGITS = torch.tensor([[3.0, 1.0, 0.5, -2.0], [0.1, 0.4, 0.2, 0.3]])
LABELS = torch.tensor([0, 2])


def gradient(objective: Objective, logits: Tensor) -> Tensor:
    given = logits.clone().requires_grad_(True)
    (found,) = torch.autograd.grad(objective(given).sum(), given)
    return found


@pytest.mark.parametrize("scale", [1e-6, 1e-2, 1e2, 1e6])
@pytest.mark.parametrize("shift", [0.0, 5.0])
def test_the_scale_of_logits_does_not_matter(scale, shift):
    objective = scale_free_cross_entropy(LABELS)
    scaled = (LOGITS.double() + shift) * scale
    assert torch.allclose(objective(scaled), objective(LOGITS.double()), rtol=1e-6)
    assert torch.allclose(gradient(objective, scaled) * scale, gradient(objective, LOGITS.double()), rtol=1e-6)


def test_its_gradient_is_there_where_that_of_the_cross_entropy_is_lost():
    assert torch.count_nonzero(gradient(cross_entropy(LABELS[:1]), LOGITS[:1] * 1000)) == 0
    assert torch.count_nonzero(gradient(scale_free_cross_entropy(LABELS[:1]), LOGITS[:1] * 1000)) == 4


def test_equal_logits_have_a_finite_loss():
    objective, equal = scale_free_cross_entropy(LABELS), torch.full((2, 4), 7.0)
    assert objective(equal).tolist() == pytest.approx([1.3863] * 2, abs=1e-4)
    assert not bool(gradient(objective, equal).isnan().any())


def test_the_margin_is_how_far_another_class_is_ahead():
    assert margin(LABELS)(LOGITS).tolist() == pytest.approx([-2.0, 0.2])
