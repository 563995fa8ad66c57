"""Balanced factors: unit filters, and the very same function."""

import copy

import pytest
import torch

import gdws
from gdws.compression.layers import GDWSConv2d
from gdws.training import balance
from gdws_contract.plan import LAYOUTS
from support.networks import Sharing, SmallResNet, seeded


def unbalanced(network, **conversion):
    """In float64, filters of very different norms."""
    converted, _ = gdws.convert(seeded(network), **conversion)
    converted.double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for layer in gdws_layers(converted):
            for filters in layer.depthwise_convolutions():
                filters.weight.mul_(10 ** torch.randn(len(filters.weight), 1, 1, 1, generator=generator).double())
    return converted


def gdws_layers(network):
    return [module for module in network.modules() if isinstance(module, GDWSConv2d)]


def norms(network):
    return torch.cat(
        [f.weight.flatten(1).norm(dim=1) for la in gdws_layers(network) for f in la.depthwise_convolutions()]
    )


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("network", [SmallResNet, Sharing])
def test_the_function_stays_and_filters_have_norm_one(network, layout):
    converted = unbalanced(network, mean_rank=2, layout=layout)
    x = torch.randn(3, 3, 12, 12, dtype=torch.float64)
    expected = converted(x)
    assert norms(converted).std() > 0.1
    balance(converted)
    torch.testing.assert_close(converted(x), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(norms(converted), torch.ones_like(norms(converted)))


def test_unequal_ranks_and_channels_without_any():
    converted = unbalanced(SmallResNet, gamma=11)
    assert any(0 in layer.ranks for layer in gdws_layers(converted))
    x = torch.randn(3, 3, 12, 12, dtype=torch.float64)
    expected = converted(x)
    balance(converted)
    torch.testing.assert_close(converted(x), expected, rtol=1e-12, atol=1e-12)


def test_filters_of_zeros_and_layers_of_no_component_stay():
    converted, _ = gdws.convert(seeded(SmallResNet), mean_rank=1)
    empty, _ = gdws.convert(seeded(SmallResNet), gamma=0)
    balance(empty)
    with torch.no_grad():
        converted.conv1.depthwise_convolutions()[0].weight[0] = 0
    x = torch.randn(3, 3, 12, 12)
    expected = converted(x)
    balance(converted)
    assert norms(converted)[0] == 0
    torch.testing.assert_close(converted(x), expected)


def test_balanced_factors_are_not_changed_again():
    converted = unbalanced(SmallResNet, mean_rank=2)
    balance(converted)
    before = copy.deepcopy(converted.state_dict())
    balance(converted)
    for key, tensor in converted.state_dict().items():
        torch.testing.assert_close(tensor, before[key], rtol=1e-14, atol=0)
