"""One pass for all layers gives what passes of their own for each layer give."""

import threading

import numpy as np
import pytest
import torch
from torch import nn

from gdws._util import memory
from gdws.compression import fitting as data_aware
from gdws.compression import surgery
from gdws.compression.fitting import walk
from gdws.compression.fitting.live_memory import stopped_bytes
from gdws.errors import ModelError
from gdws.planning.conversion import convert
from support import plain_data_aware
from support.networks import Sharing, SmallResNet, seeded


class InPlace(SmallResNet):
    """Operations in place on what convolutions took and gave."""

    def forward(self, x):
        x = self.stem(x).relu_()
        y = self.bn(self.conv1(x)).relu_()
        x.add_(0.5)
        return self.head(self.conv2(y).add_(self.shortcut(x)).relu_().mean(dim=(2, 3)))


class Folding(SmallResNet):
    """Halves of an image as images of their own, so that one call has twice as many samples as the batch."""

    def forward(self, x):
        x = torch.relu(self.stem(x))
        halves = self.conv1(torch.cat(x.split(6, dim=2)))
        y = torch.relu(self.bn(torch.cat(halves.split(len(x)), dim=2)))
        return self.head(torch.relu(self.conv2(y) + self.shortcut(x)).mean(dim=(2, 3)))


class Between(nn.Module):
    """A weight that is called before and after another one, which reads what the first call gave."""

    def __init__(self):
        super().__init__()
        self.body = nn.Conv2d(3, 3, 3, padding=1)
        self.middle = nn.Conv2d(3, 3, 3, padding=1, bias=False)
        self.last = nn.Conv2d(3, 6, 3, padding=1)
        self.head = nn.Linear(6, 4)

    def forward(self, x):
        x = torch.relu(self.body(x))
        x = torch.relu(self.body(torch.relu(self.middle(x))) + x)
        return self.head(torch.relu(self.last(x)).mean(dim=(2, 3)))


NETWORKS = [SmallResNet, Sharing, InPlace, Folding, Between]


def images(count=60):
    noise = torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return nn.functional.interpolate(noise, scale_factor=3, mode="bilinear")


def prepared(network, mean_rank=1.5):
    """In double precision, so that the two ways differ by nothing but what is to be compared."""
    model, x = seeded(network).double(), images()
    _, plan = convert(model, mean_rank=mean_rank, data=x, convert_first=network is Between)
    layers = [layer for layer in surgery.inspect(model, x[:1], convert_first=True) if layer.name in planned(plan)]
    return model, plan, layers, x, data_aware.observe(model, layers, x)


def planned(plan):
    return {layer.name for layer in plan.converted}


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("batch_size", [7, 100])
@pytest.mark.parametrize("memory_bytes", [None, 0, 200_000])  # all batches wait, none, some
def test_the_factors_are_those_of_passes_for_each_layer(network, batch_size, memory_bytes):
    model, plan, layers, x, seen = prepared(network)
    found = data_aware.fit(model, plan, layers, x, seen, batch_size=batch_size, memory_bytes=memory_bytes)
    dense, wanted = plain_data_aware.fit(model, plan, layers, x, seen)
    assert list(found.factors) == list(wanted)
    for name, layer in wanted.items():
        np.testing.assert_array_equal(found.factors[name].channels, layer.factors.channels)
        np.testing.assert_allclose(found.factors[name].depthwise, layer.factors.depthwise, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(found.factors[name].pointwise, layer.factors.pointwise, rtol=1e-5, atol=1e-7)
        assert found.errors[name] == pytest.approx(layer.error, rel=1e-6, abs=1e-9)
    torch.testing.assert_close(found.model(x), dense(x), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("network", NETWORKS)
def test_in_single_precision_they_are_the_same_up_to_rounding(network):
    model, plan, layers, x, seen = prepared(network)
    model, x = model.float(), x.float()
    found = data_aware.fit(model, plan, layers, x, seen, batch_size=16)
    dense, wanted = plain_data_aware.fit(model, plan, layers, x, seen)
    for name, layer in wanted.items():
        assert found.errors[name] == pytest.approx(layer.error, rel=1e-3, abs=1e-5)
    torch.testing.assert_close(found.model(x), dense(x), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("memory_bytes", [None, 0])
def test_what_ranks_cost_is_the_same(network, memory_bytes, monkeypatch):
    if memory_bytes is not None:
        monkeypatch.setattr(memory, "total_bytes", lambda device: memory_bytes)
    model, _, layers, x, seen = prepared(network)
    candidates = {name: [np.full(layer.weight_shape[1], rank) for rank in (0, 1, 3)] for name, layer in holders(layers)}
    found = data_aware.sensitivities(model, layers, x, seen, candidates, batch_size=16)
    for name, costs in plain_data_aware.sensitivities(model, layers, x, seen, candidates).items():
        assert found[name] == pytest.approx(costs, rel=1e-6, abs=1e-9)


def holders(layers):
    return [(layer.name, layer) for layer in layers if layer.shares is None]


class Counted(nn.Module):
    """A chain of layers that counts the images that run through each."""

    def __init__(self, depth=6):
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(3, 3, 3, padding=1) for _ in range(depth))
        self.head = nn.Linear(3, 4)
        self.images = [0] * depth

    def forward(self, x):
        for index, layer in enumerate(self.layers):
            self.images[index] += len(x)
            x = torch.relu(layer(x))
        return self.head(x.mean(dim=(2, 3)))


def test_each_image_runs_through_each_layer_once():
    model, plan, layers, x, seen = prepared(Counted)
    model.images = [0] * 6
    found = data_aware.fit(model, plan, layers, x, seen, batch_size=16)
    samples = 2  # one image to see the order of the layers, one to see what a pass holds
    assert model.images[0] == len(x) + samples
    assert model.images[-1] <= len(x) + samples
    assert found.model.images[0] == len(x)
    model.images = [0] * 6
    again = data_aware.fit(model, plan, layers, x, seen, batch_size=16, memory_bytes=0)
    assert model.images[0] == len(x) * len(plan.converted) + samples  # quadratic in depth
    torch.testing.assert_close(again.model(x), found.model(x))


def test_nothing_is_left_behind():
    model, plan, layers, x, seen = prepared(SmallResNet)
    before = threading.active_count()
    data_aware.fit(model, plan, layers, x, seen, batch_size=7)
    assert threading.active_count() == before
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


class Whimsical(SmallResNet):
    """Leaves a layer out where an image is dark."""

    def forward(self, x):
        bright = bool(x.mean() > 0.4)
        x = torch.relu(self.stem(x))
        y = torch.relu(self.bn(self.conv1(x))) if bright else x
        return self.head(torch.relu(self.conv2(y) + self.shortcut(x)).mean(dim=(2, 3)))


@pytest.mark.parametrize("memory_bytes", [None, 0])
def test_a_network_that_takes_another_way_is_told(memory_bytes):
    model, plan, layers, x, seen = prepared(Whimsical)
    x = x.clone()
    x[20:] /= 100
    before = threading.active_count()
    with pytest.raises(ModelError, match="less often than on the first image"):
        data_aware.fit(model, plan, layers, x, seen, batch_size=4, memory_bytes=memory_bytes)
    assert threading.active_count() == before
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_what_the_network_raises_is_raised():
    class Failing(SmallResNet):
        failing = False

        def forward(self, x):
            if self.failing and len(x) > 1:
                raise ZeroDivisionError("as any code may")
            return super().forward(x)

    model, plan, layers, x, seen = prepared(Failing)
    model.failing = True
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError, match="as any code may"):
        data_aware.fit(model, plan, layers, x, seen)
    assert threading.active_count() == before


def test_a_stopped_pass_holds_what_later_layers_need():
    model = seeded(SmallResNet)
    grid = 12 * 12 * 4
    # Before the sum: the input of the block and of conv2, of 8 channels each, and 16 channels of a quarter of the grid.
    held = stopped_bytes(model, [model.conv2], torch.rand(1, 3, 12, 12))
    assert held == 8 * grid + 8 * grid + 16 * grid // 4
    assert stopped_bytes(model, [model.stem], torch.rand(1, 3, 12, 12)) == 8 * grid


def test_as_many_batches_are_kept_as_fit_into_memory(monkeypatch):
    model, _, layers, x, _ = prepared(SmallResNet)
    each = stopped_bytes(model, [layer.module for layer in layers], x[:1])
    monkeypatch.setattr(memory, "total_bytes", lambda device: 4 * each * 2 * 16 * 3)  # a quarter of it for passes
    with walk.Walk(model, layers, x, model, batch_size=16) as walked:
        assert walked.held == 3
