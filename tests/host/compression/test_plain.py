"""Convolutions as others wrap them: converted by what they compute, or left alone with the reason."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm

import gdws
from gdws.compression.calibration.alphas import alphas
from gdws.compression.plain import NotPlain, PaddedConv, as_plain, plain
from gdws.compression.surgery import inspect
from gdws.onnx_io.export import export

SHAPE = (3, 15, 12)


class Same(nn.Conv2d):
    """timm's Conv2dSame: the padding of TensorFlow, by the size of the input."""

    def forward(self, x):
        sizes = zip(x.shape[2:], self.kernel_size, self.stride, self.dilation, strict=True)
        totals = [max((math.ceil(n / s) - 1) * s + (k - 1) * d + 1 - n, 0) for n, k, s, d in sizes]
        (high, wide) = totals
        x = functional.pad(x, [wide // 2, wide - wide // 2, high // 2, high - high // 2])
        return functional.conv2d(x, self.weight, self.bias, self.stride, (0, 0), self.dilation, self.groups)


class Standardised(nn.Conv2d):
    """timm's StdConv2d."""

    def forward(self, x):
        flat = self.weight.flatten(1)
        weight = (flat - flat.mean(1, keepdim=True)) / (flat.std(1, keepdim=True) + 1e-5)
        weight = weight.view_as(self.weight)
        return functional.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class StaticSame(nn.Conv2d):
    """EfficientNet-PyTorch's Conv2dStaticSamePadding."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.static_padding = nn.ZeroPad2d((0, 1, 0, 1))

    def forward(self, x):
        return functional.conv2d(self.static_padding(x), self.weight, self.bias, self.stride, self.padding)


class OneBit(nn.Conv2d):
    def forward(self, x):
        weight = self.weight.sign() * self.weight.abs().mean()
        return functional.conv2d(x, weight, self.bias, padding=self.padding)


class WithActivation(nn.Conv2d):
    """detectron2's, with an activation."""

    def forward(self, x):
        return torch.relu(super().forward(x))


class Conditional(nn.Conv2d):
    def forward(self, x):
        return functional.conv2d(x, self.weight * x.mean(), self.bias)


class Twice(nn.Conv2d):
    def forward(self, x):
        return super().forward(x) + super().forward(x)


class Shifted(nn.Conv2d):
    def forward(self, x):
        return super().forward(x + 1)


class Pair(nn.Conv2d):
    def forward(self, x):
        return super().forward(x), x


class Renamed(nn.Conv2d):
    pass


class Signal(nn.Conv1d):
    def forward(self, x):  # causal
        return functional.conv1d(functional.pad(x, (4, 0)), self.weight, self.bias)


PLAIN = {
    "renamed": lambda: Renamed(3, 6, 3, padding="same"),
    "same": lambda: Same(3, 6, 3, stride=2),
    "same, dilated": lambda: Same(3, 6, (3, 5), dilation=2),
    "weight standardisation": lambda: Standardised(3, 6, 3, padding=1),
    "static padding": lambda: StaticSame(3, 6, 3, stride=2),
    "one bit": lambda: OneBit(3, 6, 3, padding=1),
    "spectral norm": lambda: parametrizations.spectral_norm(nn.Conv2d(3, 6, 3)),
    "weight norm": lambda: parametrizations.weight_norm(nn.Conv2d(3, 6, 3)),
    "old weight norm": lambda: weight_norm(nn.Conv2d(3, 6, 3)),
    "old spectral norm": lambda: spectral_norm(nn.Conv2d(3, 6, 3)),
    "pruned": lambda: prune.l1_unstructured(nn.Conv2d(3, 6, 3), "weight", 0.5),
}
OTHER = {
    "activation": (lambda: WithActivation(3, 6, 3), "more than a convolution"),
    "conditional": (lambda: Conditional(3, 6, 3), "weight from its input"),
    "twice": (lambda: Twice(3, 6, 3), "calls 2 convolutions"),
    "shifted": (lambda: Shifted(3, 6, 3), "changes its input"),
    "pair": (lambda: Pair(3, 6, 3), "does not return a tensor"),
}


class Net(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 3, 1)
        self.odd = layer
        self.head = nn.Linear(6, 4)

    def forward(self, x):
        x = self.odd(self.stem(x))
        return self.head(torch.relu(x[0] if isinstance(x, tuple) else x).mean(dim=(2, 3)))


def net_of(make) -> nn.Module:
    torch.manual_seed(0)
    return Net(make()).eval()


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("make", PLAIN.values(), ids=PLAIN)
def test_what_is_a_convolution_is_converted_as_one(make):
    net, images = net_of(make), torch.rand(16, *SHAPE, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = net(images)
        full, plan = gdws.convert(net, beta=0.0, example_input=SHAPE)
        assert len(plan.converted) == 1
        torch.testing.assert_close(full(images), expected, rtol=1e-4, atol=1e-5)
    assert export(full, SHAPE)
    fitted, _ = gdws.convert(net, mean_rank=1, data=images)
    weighed, _ = gdws.convert(net, mean_rank=1, alphas=alphas(net, [images]).alphas)
    with torch.no_grad():
        errors = [float((each(images) - expected).square().sum()) for each in (fitted, weighed)]
    assert errors[0] < errors[1]


@pytest.mark.parametrize(("make", "reason"), OTHER.values(), ids=OTHER)
def test_what_is_none_is_left_alone_with_the_reason(make, reason):
    net = net_of(make)
    assert plain(net) is net
    [layer] = [layer for layer in inspect(net, SHAPE) if layer.name == "odd"]
    assert reason in layer.left_alone
    with pytest.raises(NotPlain, match=reason):
        as_plain(net.odd)


def test_a_network_of_plain_layers_is_not_copied():
    net = net_of(lambda: nn.Conv2d(3, 6, 3))
    assert plain(net) is net


def test_same_padding_follows_the_size_of_the_input():
    made = as_plain(Same(3, 6, 3, stride=2))
    assert isinstance(made, PaddedConv)
    assert made.amounts is None
    for height, width in ((7, 8), (8, 11)):
        x = torch.rand(1, 3, height, width)
        assert made(x).shape[2:] == ((height + 1) // 2, (width + 1) // 2)


def test_signals_too():
    conv = Signal(2, 3, 5)
    x = torch.rand(2, 2, 20)
    torch.testing.assert_close(as_plain(conv)(x), conv(x))
