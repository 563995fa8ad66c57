"""Random projections against the squared changes that they stand for."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gdws.compression import surgery
from gdws.compression.calibration.projections import decision, of_outputs, root_mean_squares, squared_error
from gdws.compression.fitting import observe
from gdws.errors import ModelError
from gdws.planning.conversion import convert
from support.networks import SmallResNet, TwoHeads, seeded


def images(count: int) -> torch.Tensor:
    return torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_the_squared_error_is_unbiased():
    """The mean over draws is the sum over all entries of both outputs of their squared gradients, each to scale."""
    model, x = seeded(TwoHeads), images(3)
    layers = [layer for layer in surgery.inspect(model, x[:1]) if layer.name == "body"]
    scales = root_mean_squares(model, x)
    draws = [observe(model, layers, x, squared_error(scales), seed=seed)["body"].outputs for seed in range(1000)]
    seen = []
    handle = model.body.register_forward_hook(lambda _, __, output: seen.append(output))
    heads = model(x)["heads"]
    handle.remove()
    exact = torch.zeros(6, 6, dtype=torch.float64)
    for tensor, scale in zip(heads, scales, strict=False):
        for entry in tensor.flatten():
            (gradient,) = torch.autograd.grad(entry / scale, seen[0], retain_graph=True)
            rows = gradient.transpose(0, 1).flatten(1).double()
            exact += rows @ rows.T / len(x)
    np.testing.assert_allclose(np.mean(draws, axis=0), exact.numpy(), rtol=0.1, atol=0.02 * float(exact.abs().max()))


def test_outputs_of_another_scale_count_alike():
    model, x = seeded(TwoHeads), images(6)
    found = root_mean_squares(model, x, batch_size=4)
    with torch.no_grad():
        first, second = model(x)["heads"]
    assert found[:2] == pytest.approx([float(each.square().mean().sqrt()) for each in (first, second)])


def test_logits_are_told_from_other_outputs():
    classifier, other = seeded(SmallResNet), seeded(TwoHeads)
    assert of_outputs(classifier, images(2)) is decision
    assert of_outputs(other, images(2)) is not decision


def test_outputs_without_gradients_are_refused():
    class Chosen(TwoHeads):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x)["class"]

    with pytest.raises(ModelError, match="no gradient of the outputs") as refused:
        convert(seeded(Chosen), mean_rank=1, data=images(12))
    assert "--method weights" in str(refused.value.hint)


def test_a_network_of_several_outputs_is_fitted():
    """Fitting to data keeps both outputs better than the weights alone do, at the same ranks."""
    model, x = seeded(TwoHeads), images(80)
    by_data, plan = convert(model, mean_rank=2, data=x[:60])
    by_weights, _ = convert(model, mean_rank=2)
    assert [layer.name for layer in plan.converted] == ["body", "map"]
    with torch.no_grad():
        wanted, fitted, plain = (network(x[60:])["heads"] for network in (model, by_data, by_weights))
    for place in range(2):
        assert (fitted[place] - wanted[place]).square().mean() < (plain[place] - wanted[place]).square().mean()
