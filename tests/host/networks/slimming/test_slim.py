"""Narrower networks of the same function."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations, prune

from gdws.errors import ModelError
from gdws.networks import zoo as nets
from gdws.networks.slimming import slim

SHAPE = (3, 9, 8)


def settled(network: nn.Module, seed: int = 0) -> nn.Module:
    """``network`` in evaluation mode with statistics as if trained."""
    generator = torch.Generator().manual_seed(seed)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.3, generator=generator)
            layer.running_var.uniform_(0.5, 1.5, generator=generator)
            if layer.affine:
                layer.weight.data.uniform_(0.5, 1.5, generator=generator)
                layer.bias.data.normal_(0, 0.5, generator=generator)
    return network.eval()


def kill_filters(layer: nn.Conv2d, *channels: int) -> None:
    layer.weight.data[list(channels)] = 0


def assert_same(network: nn.Module, narrow: nn.Module, shape=SHAPE) -> None:
    images = torch.rand(5, *shape)
    with torch.no_grad():
        torch.testing.assert_close(narrow(images), network(images), rtol=1e-4, atol=1e-5)


def chain(*middle: nn.Module, bias: bool = False, padding: int = 1) -> nn.Sequential:
    """conv, what is given, conv, head; six channels between the convolutions."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1, bias=bias),
        *middle,
        nn.Conv2d(6, 5, 3, padding=padding, bias=bias),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(5, 4),
    )


def widths(network: nn.Module) -> list[int]:
    return [len(layer.weight) for layer in network.modules() if isinstance(layer, nn.Conv2d)]


def test_zero_filters_go_with_those_that_read_them():
    network = chain(nn.ReLU())
    kill_filters(network[0], 1, 4)
    found = slim(network, SHAPE)
    assert widths(found.module) == [4, 5]
    assert found.module[2].in_channels == 4
    assert found.removed == {"0": 2}
    assert found.parameters == (
        sum(p.numel() for p in network.parameters()),
        sum(p.numel() for p in found.module.parameters()),
    )
    assert_same(network, found.module)
    assert widths(network) == [6, 5]


def test_channels_that_nothing_reads_go():
    network = chain(nn.ReLU())
    network[2].weight.data[:, [0, 2, 5]] = 0
    network[-1].weight.data[:, 3] = 0
    found = slim(network, SHAPE)
    assert widths(found.module) == [3, 4]
    assert_same(network, found.module)


def test_a_chain_of_dead_channels_goes_whole():
    """What is read only to compute what nothing reads."""
    network = chain(nn.ReLU())
    network[2].weight.data[:4, 2] = 0  # the third channel serves the last one alone,
    network[-1].weight.data[:, 4] = 0  # which serves nothing
    assert widths(slim(network, SHAPE).module) == [5, 4]


@pytest.mark.parametrize(
    ("padding", "mode", "kept"),
    [(0, "zeros", 2), (1, "zeros", 3), (1, "reflect", 2), ("same", "zeros", 3), ("valid", "zeros", 2)],
)
def test_constants_behind_normalisation(padding, mode, kept):
    """A zero filter gives the shift of its normalisation; with a border of zeros one of them must stay."""
    network = settled(chain(nn.BatchNorm2d(6), nn.ReLU()))
    network[3] = nn.Conv2d(6, 5, 3, padding=padding, padding_mode=mode, bias=False)
    kill_filters(network[0], 0, 1, 2, 3)
    network[1].running_mean.zero_()
    network[1].bias.data = torch.tensor([0.5, 2.0, 1.0, -1.0, 0.1, 0.1])
    found = slim(network, SHAPE)
    assert widths(found.module) == [kept, 5]
    assert found.module[1].num_features == kept
    assert (found.module[3].bias is None) == (kept == 3)
    assert_same(network, found.module)


class Residual(nn.Module):
    """A stem, and a block beside a shortcut."""

    def __init__(self, *, in_place: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 6, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(6)
        self.conv1 = nn.Conv2d(6, 7, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(7)
        self.conv2 = nn.Conv2d(7, 6, 3, padding=1, bias=False)
        self.relu = nn.ReLU(inplace=in_place)
        self.head = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y = self.conv2(self.relu(self.bn2(self.conv1(self.relu(self.bn1(x))))))
        return self.head((x + y).mean((2, 3)))


def test_channels_of_a_sum_go_where_they_go_in_all_its_parts():
    network = settled(Residual())
    kill_filters(network.stem, 0, 1, 2)
    kill_filters(network.conv2, 1, 2, 3)
    network.bn1.bias.data[:3] = -9  # zero behind the activation
    found = slim(network, SHAPE)
    assert (len(found.module.stem.weight), len(found.module.conv2.weight)) == (4, 4)  # 1 and 2 are dead in both
    assert_same(network, found.module)
    kill_filters(network.conv1, 0, 1, 2, 3)
    found = slim(network, SHAPE)
    assert len(found.module.conv1.weight) <= 4
    assert_same(network, found.module)


def test_a_channel_that_is_read_before_the_sum_stays():
    network = settled(Residual())
    network.head.weight.data[:, 2] = 0
    assert slim(network, SHAPE).removed == {}
    network.conv1.weight.data[:, 2] = 0
    found = slim(network, SHAPE)
    assert found.removed == {"stem": 1, "conv2": 1}
    assert_same(network, found.module)


class ReadsAfterInPlace(nn.Module):
    """An activation in place changes what is added later, too."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 6, 3, bias=True)
        self.conv = nn.Conv2d(6, 6, 3, padding=1)
        self.head = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y = self.conv(functional.relu(x, inplace=True))
        y += x
        return self.head(y.mean((2, 3)))


def test_activations_in_place():
    network = ReadsAfterInPlace().eval()
    kill_filters(network.stem, 0, 1, 2)
    network.stem.bias.data[:3] = torch.tensor([-1.0, 2.0, -3.0])
    kill_filters(network.conv, 0, 1, 2)
    found = slim(network, SHAPE)
    assert found.removed == {"stem": 2, "conv": 2}
    assert_same(network, found.module)


class Joined(nn.Module):
    """Concatenation, a depthwise convolution, and features that are flattened with their places."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.one = nn.Conv2d(3, 4, 3, padding=1)
        self.other = nn.Conv2d(3, 5, 1)
        self.depthwise = nn.Conv2d(9, 9, 3, padding=1, groups=9, bias=False)
        self.head = nn.Linear(36, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([torch.relu(self.one(x)), self.other(x)], dim=1)
        x = functional.adaptive_avg_pool2d(self.depthwise(x), 2)
        return self.head(x.view(x.size(0), -1))


def test_concatenation_depthwise_layers_and_flattening():
    network = Joined().eval()
    kill_filters(network.one, 0)
    network.one.bias.data[0] = -1
    kill_filters(network.depthwise, 3, 5)
    found = slim(network, SHAPE)
    assert found.removed == {"one": 2, "other": 1, "depthwise": 3}
    assert (found.module.depthwise.groups, found.module.head.in_features) == (6, 24)
    assert_same(network, found.module)


class Attending(nn.Module):
    """Multiplies by what it computes, which is not known here."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.gate = nn.Conv2d(6, 6, 1)
        self.conv = nn.Conv2d(6, 6, 3)
        self.head = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem(x))
        return self.head(self.conv(x * torch.sigmoid(self.gate(x))).mean((2, 3)))


def test_what_is_not_known_keeps_its_channels():
    network = Attending().eval()
    kill_filters(network.stem, 0, 1)
    network.stem.bias.data[:2] = 0
    network.head.weight.data[:, 4] = 0
    found = slim(network, SHAPE)
    assert found.removed == {"conv": 1}
    assert_same(network, found.module)


def test_a_layer_that_is_called_twice_keeps_its_channels():
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.body = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            return self.body(self.body(self.stem(x))).mean((2, 3))

    network = Twice()
    kill_filters(network.body, 0)
    kill_filters(network.stem, 0)
    assert slim(network, SHAPE).removed == {}


def test_weights_that_are_computed_stay():
    network = parametrizations.weight_norm(chain(nn.ReLU())[2], dim=0)
    network = nn.Sequential(nn.Conv2d(3, 6, 3), network, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 4))
    kill_filters(network[0], 1)
    assert slim(network, SHAPE).removed == {}


def test_masks_that_are_not_permanent_are_said():
    network = chain(nn.ReLU())
    prune.ln_structured(network[0], "weight", 0.5, n=2, dim=0)
    with pytest.raises(ModelError, match="cannot be copied") as caught:
        slim(network, SHAPE)
    assert "permanent" in caught.value.hint


def test_at_least_one_channel_stays():
    network = chain(nn.ReLU(), bias=True)
    kill_filters(network[0], *range(6))
    found = slim(network, SHAPE)
    assert widths(found.module)[0] == 1
    assert_same(network, found.module)


def test_modes_and_flags_are_kept():
    network = settled(Residual())
    kill_filters(network.stem, 1)
    kill_filters(network.conv2, 1)
    network.train()
    network.conv1.weight.requires_grad_(False)
    found = slim(network, SHAPE)
    assert found.module.training
    assert network.bn1.num_batches_tracked == 0
    assert not found.module.conv1.weight.requires_grad
    assert found.module.conv2.weight.requires_grad


@pytest.mark.parametrize("name", nets.names())
def test_every_network_known_by_name_can_be_slimmed(name):
    """Half the filters of each convolution but the first are zero."""
    torch.manual_seed(1)
    options = {"width": 4}
    shape = (3, 64, 64) if name == "resnet50" else nets.input_shape(name)
    network = settled(nets.build(name, **options))
    convolutions = [each for each in network.modules() if isinstance(each, nn.Conv2d) and each.groups == 1]
    for layer in convolutions[1:]:
        norms = layer.weight.data.flatten(1).norm(dim=1)
        kill_filters(layer, *norms.argsort()[: len(norms) // 2].tolist())
    found = slim(network, shape)
    assert found.parameters[1] < 0.9 * found.parameters[0]
    assert_same(network, found.module, shape)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_the_function_stays_whatever_is_zero(data):
    network = settled(Residual(in_place=data.draw(st.booleans())), seed=data.draw(st.integers(0, 5)))
    for name in ("stem", "conv1", "conv2", "head"):
        weight = network.get_submodule(name).weight.data
        weight[data.draw(st.lists(st.integers(0, len(weight) - 1), max_size=6))] = 0
        weight[:, data.draw(st.lists(st.integers(0, weight.shape[1] - 1), max_size=6))] = 0
    for bn in (network.bn1, network.bn2):
        bn.bias.data[data.draw(st.lists(st.integers(0, 5), max_size=4))] = 0
        bn.running_mean[data.draw(st.lists(st.integers(0, 5), max_size=4))] = 0
    found = slim(network, SHAPE)
    assert_same(network, found.module)
    again = slim(found.module, SHAPE)
    assert_same(network, again.module)


def test_code_that_cannot_be_traced_is_said():
    class Choosing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(x).mean((2, 3)) if x.mean() > 0 else self.conv(-x).mean((2, 3))

    with pytest.raises(ModelError, match="cannot be traced") as caught:
        slim(Choosing(), SHAPE)
    assert caught.value.hint


def test_images_of_another_shape():
    with pytest.raises(ModelError, match="does not run on images"):
        slim(chain(nn.ReLU()), (4, 8, 8))


def test_a_change_of_the_function_would_be_noticed(monkeypatch):
    """As if the edge that zeros make of a constant did not matter."""
    network = settled(chain(nn.BatchNorm2d(6), nn.ReLU()))
    kill_filters(network[0], *range(5))
    network[1].bias.data.fill_(5.0)
    monkeypatch.setattr("gdws.networks.slimming.reading.pads_with_zeros", lambda layer: False)
    with pytest.raises(ModelError, match="changes the network"):
        slim(network, SHAPE)
