"""Convolutions that the network calls by keyword."""

import pytest
import torch
from torch import nn

from gdws._util.calls import observed
from gdws.compression import surgery
from gdws.compression.calibration import alphas as calibrate
from gdws.planning.conversion import convert
from support.networks import SmallResNet, seeded


class ByKeyword(SmallResNet):
    def forward(self, x):
        x = torch.relu(self.stem(input=x))
        y = torch.relu(self.bn(input=self.conv1(input=x)))
        return self.head(input=torch.relu(self.conv2(input=y) + self.shortcut(input=x)).mean(dim=(2, 3)))


@pytest.fixture(scope="module")
def images():
    return torch.rand(24, 3, 10, 8, generator=torch.Generator().manual_seed(0))


def test_grids_are_those_of_calls_by_position():
    grids = [[layer.grids for layer in surgery.inspect(seeded(net), (3, 10, 8))] for net in (ByKeyword, SmallResNet)]
    assert grids[0] == grids[1]


def test_alphas_are_those_of_calls_by_position(images):
    found, wanted = (calibrate.alphas(seeded(net), [images[:4]]).alphas for net in (ByKeyword, SmallResNet))
    assert {name: alpha.tolist() for name, alpha in found.items()} == {n: a.tolist() for n, a in wanted.items()}


@pytest.mark.parametrize("fitted", [False, True], ids=["weights", "data-aware"])
@pytest.mark.parametrize("layout", ["gather", "stacked", "grouped"])
def test_the_converted_network_is_that_of_calls_by_position(images, layout, fitted):
    options = {"data": images} if fitted else {"example_input": (3, 10, 8)}
    (found, plan), (wanted, _) = (
        convert(seeded(net), mean_rank=2, layout=layout, **options) for net in (ByKeyword, SmallResNet)
    )
    assert [layer.name for layer in plan.converted] == ["conv1", "conv2"]
    torch.testing.assert_close(found(images), wanted(images))


def test_the_input_is_the_first_argument_however_it_is_passed():
    class Add(nn.Module):
        def forward(self, one, other=1):
            return one + other

    add, seen = Add(), []
    with observed([(add, lambda module, x, output: seen.append((module, x, output)))]):
        add(1)
        add(one=2, other=3)
        add(4, other=5)
    add(6)
    assert seen == [(add, 1, 2), (add, 2, 5), (add, 4, 9)]
