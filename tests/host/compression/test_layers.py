from __future__ import annotations

import copy
import io

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from torch import nn
from torch.nn import functional

from gdws.compression.layers import GDWSConv2d, split_padding, to_dense
from gdws_contract.plan import LAYOUTS

GEOMETRIES = {
    "plain": {},
    "stride": {"stride": 2, "padding": 1},
    "pairs": {"stride": (2, 1), "padding": (2, 0), "dilation": (1, 2)},
    "same": {"padding": "same"},
    "same, dilated": {"padding": "same", "dilation": 2},
    "valid": {"padding": "valid"},
    "reflect": {"padding": 1, "padding_mode": "reflect"},
    "replicate": {"padding": (1, 2), "padding_mode": "replicate"},
    "circular": {"padding": 2, "padding_mode": "circular"},
    "same, reflect": {"padding": "same", "padding_mode": "reflect"},
    "no padding, reflect": {"padding_mode": "reflect"},
}
KERNELS = [(3, 3), (2, 4), (5, 1)]


def layer(ranks=(2, 2, 2), out_channels=5, kernel=(3, 3), *, bias=True, dtype=torch.float32, **options):
    generator = torch.Generator().manual_seed(7)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=dtype)

    components = sum(ranks)
    offset = draw(out_channels) if bias else None
    return GDWSConv2d(draw(components, *kernel), draw(out_channels, components), ranks, offset, **options)


def as_conv(gdws: GDWSConv2d) -> nn.Conv2d:
    """The dense convolution of the same weight and options, as torch computes it."""
    conv = nn.Conv2d(
        gdws.in_channels,
        gdws.out_channels,
        gdws.kernel_size,
        stride=gdws.stride,
        padding=gdws.padding,
        dilation=gdws.dilation,
        padding_mode=gdws.padding_mode,
        bias=gdws.bias is not None,
    )
    conv.weight.data = gdws.dense_weight().detach()
    if gdws.bias is not None:
        conv.bias.data = gdws.bias.detach()
    return conv


def assert_same_function(one, other, channels=3, size=(9, 8)):
    x = torch.randn(2, channels, *size, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(one(x), other(x), rtol=1e-4, atol=1e-5)


def test_dense_weight_is_the_product_of_the_factors():
    depthwise, pointwise = torch.randn(4, 3, 3), torch.randn(6, 4)
    weight = GDWSConv2d(depthwise, pointwise, (1, 0, 3)).dense_weight()
    assert weight.shape == (6, 3, 3, 3)
    torch.testing.assert_close(weight[:, 0], pointwise[:, :1, None] * depthwise[0])
    assert not weight[:, 1].any()
    torch.testing.assert_close(weight[:, 2], torch.einsum("mg,gij->mij", pointwise[:, 1:], depthwise[1:]))


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kernel", KERNELS, ids=str)
@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES)
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
def test_every_layout_is_the_dense_convolution(layout, kernel, geometry, bias):
    gdws = layer(kernel=kernel, layout=layout, bias=bias, **geometry)
    assert_same_function(gdws, as_conv(gdws))


@pytest.mark.parametrize("ranks", [(3, 0, 1), (0, 0, 4), (1, 1, 1), (1, 2, 1)], ids=str)
def test_gather_takes_any_ranks(ranks):
    gdws = layer(ranks)
    assert gdws.ranks == ranks
    assert_same_function(gdws, as_conv(gdws))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_hold_the_same_weight(layout):
    torch.testing.assert_close(layer(layout=layout).dense_weight(), layer(layout="gather").dense_weight())


def test_rank_one_everywhere_needs_no_gather():
    assert not list(layer((1, 1, 1)).buffers())
    assert list(layer((1, 2, 0)).buffers())


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kernel", KERNELS, ids=str)
@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES)
def test_no_component_leaves_the_bias(layout, kernel, geometry):
    gdws = layer((0, 0, 0), kernel=kernel, layout=layout, **geometry)
    expected = as_conv(gdws)(torch.randn(2, 3, 9, 8))
    output = gdws(torch.randn(2, 3, 9, 8))
    assert output.shape == expected.shape
    torch.testing.assert_close(output, gdws.bias[None, :, None, None].expand_as(output))
    assert gdws.ranks == (0, 0, 0)


def test_no_component_and_no_bias_is_zero_and_keeps_the_graph():
    gdws = layer((0, 0, 0), bias=False)
    x = torch.randn(2, 3, 9, 8, requires_grad=True)
    output = gdws(x)
    assert output.shape == (2, 5, 7, 6)
    assert not output.any()
    output.add_(1).relu_().sum().backward()
    assert not x.grad.any()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_gradients_reach_both_factors_also_through_the_dense_weight(layout):
    gdws = layer(layout=layout)
    for parameter in gdws.parameters():
        parameter.requires_grad_()
    x = torch.randn(2, 3, 6, 6)
    gdws(x).square().sum().backward()
    direct = [parameter.grad.clone() for parameter in gdws.parameters()]
    gdws.zero_grad()
    functional.conv2d(x, gdws.dense_weight(), gdws.bias).square().sum().backward()
    for one, other in zip(direct, gdws.parameters(), strict=True):
        torch.testing.assert_close(one, other.grad, rtol=1e-4, atol=1e-4)


def test_parameters_do_not_ask_for_gradients_unless_the_factors_do():
    assert not any(parameter.requires_grad for parameter in layer().parameters())


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("ranks", [(2, 2, 2), (0, 0, 0)], ids=str)
def test_copies_and_state_dicts_keep_the_function(layout, ranks):
    gdws = layer(ranks, layout=layout)
    assert_same_function(copy.deepcopy(gdws), gdws)
    other = layer(ranks, layout=layout)
    for parameter in other.parameters():
        parameter.data.zero_()
    other.load_state_dict(gdws.state_dict())
    assert_same_function(other, gdws)


def test_a_state_dict_brings_its_ranks():
    source, other = layer((3, 0, 1)), layer((0, 2, 2))
    other.load_state_dict(source.state_dict())
    assert other.ranks == (3, 0, 1)
    assert_same_function(other, source)


def test_making_a_layer_draws_no_random_numbers():
    state = torch.get_rng_state()
    GDWSConv2d(torch.ones(2, 3, 3), torch.ones(4, 2), (1, 1))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_dense_weight_keeps_the_dtype(dtype):
    gdws = layer(dtype=dtype)
    assert gdws.dense_weight().dtype == dtype
    wide = layer(dtype=dtype).double()
    torch.testing.assert_close(gdws.dense_weight().double(), wide.dense_weight(), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize(
    ("depthwise", "pointwise", "ranks", "layout"),
    [
        ((4, 3, 3), (6, 3), (2, 2), "gather"),
        ((4, 3, 3), (6, 4), (2, 1), "gather"),
        ((4, 3, 3), (6, 4), (3, 1), "stacked"),
        ((4, 3, 3), (6, 4), (3, 1), "grouped"),
        ((4, 3, 3), (6, 4), (2, 2), "diagonal"),
        ((4, 1, 3, 3), (6, 4), (2, 2), "gather"),
    ],
)
def test_factors_that_do_not_belong_together_are_refused(depthwise, pointwise, ranks, layout):
    with pytest.raises(ValueError, match=r"do not match|equal ranks|unknown layout"):
        GDWSConv2d(torch.zeros(depthwise), torch.zeros(pointwise), ranks, layout=layout)


def test_printing_names_the_options():
    text = str(layer(padding=1, padding_mode="reflect", layout="stacked"))
    assert "G=6, layout=stacked" in text
    assert "(1, 1) reflect" in text


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("ranks", [(2, 2, 2), (0, 0, 0)], ids=str)
def test_to_dense_is_the_same_function_and_leaves_its_argument(layout, ranks):
    net = nn.Sequential(layer(ranks, layout=layout, padding=1), nn.ReLU(), nn.Conv2d(5, 2, 1)).eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    dense = to_dense(net)
    assert not any(isinstance(module, GDWSConv2d) for module in dense.modules())
    assert type(dense[0]) is nn.Conv2d
    assert not dense[0].training
    assert_same_function(dense, net)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert isinstance(net[0], GDWSConv2d)


def test_to_dense_of_a_layer_by_itself():
    gdws = layer((3, 0, 1))
    dense = to_dense(gdws)
    assert type(dense) is nn.Conv2d
    assert_same_function(dense, gdws)


def test_to_dense_keeps_sharing():
    one, two = layer((2, 1, 1)), layer((2, 1, 1), stride=2)
    two.tie_weights(one)
    dense = to_dense(nn.ModuleDict({"one": one, "again": one, "two": two}))
    assert dense["one"] is dense["again"]
    assert dense["one"].weight is dense["two"].weight
    assert dense["two"].stride == (2, 2)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (((1, 2), (3, 3), (1, 1), "zeros"), (None, "constant", (1, 2))),
        (("valid", (3, 3), (1, 1), "zeros"), (None, "constant", (0, 0))),
        (("same", (3, 5), (1, 1), "zeros"), (None, "constant", (1, 2))),
        (("same", (2, 3), (1, 3), "zeros"), ((3, 3, 0, 1), "constant", (0, 0))),
        (((1, 2), (3, 3), (1, 1), "reflect"), ((2, 2, 1, 1), "reflect", (0, 0))),
        (((0, 0), (3, 3), (1, 1), "circular"), (None, "circular", (0, 0))),
    ],
)
def test_padding_is_split(arguments, expected):
    assert split_padding(*arguments) == expected


def exported(module, x, *, dynamo):
    """The module as ONNX, its batch free."""
    buffer = io.BytesIO()
    if dynamo:
        shapes = {"x": {0: torch.export.Dim("batch")}}
        program = torch.onnx.export(module, (x,), dynamo=True, dynamic_shapes=shapes, verbose=False)
        program.save(buffer)
    else:
        axes = {"x": {0: "batch"}, "y": {0: "batch"}}
        torch.onnx.export(
            module,
            (x,),
            buffer,
            dynamo=False,
            input_names=["x"],
            output_names=["y"],
            dynamic_axes=axes,
            opset_version=17,
        )
    return onnx.load_from_string(buffer.getvalue())


class Named(nn.Module):
    """Calls its input ``x``, which exporters use as the name."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("ranks", [(2, 2, 2), (1, 1, 1), (0, 0, 0)], ids=str)
@pytest.mark.parametrize(
    ("dynamo", "geometry"), [(True, "same"), (False, "same"), (False, "stride"), (False, "reflect")]
)
def test_exports_to_onnx_with_any_batch(dynamo, geometry, ranks, layout):
    gdws = Named(layer(ranks, kernel=(2, 3), layout=layout, **GEOMETRIES[geometry])).eval()
    model = exported(gdws, torch.randn(2, 3, 9, 8), dynamo=dynamo)
    x = torch.randn(5, 3, 9, 8)
    [y] = ReferenceEvaluator(model).run(None, {model.graph.input[0].name: x.numpy()})
    np.testing.assert_allclose(y, gdws(x).detach().numpy(), rtol=1e-4, atol=1e-5)
