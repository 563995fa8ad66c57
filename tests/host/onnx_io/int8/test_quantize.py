"""INT8 files compute nearly what the float file does, in integers throughout, and so does the torch twin."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import helper, numpy_helper
from torch import nn

import gdws
from gdws.errors import DataError, GdwsError
from gdws.onnx_io.export import export
from gdws.onnx_io.int8 import SCHEMES, Int8Settings, QuantizedNetwork, costly_layers, quantize
from gdws.onnx_io.int8.view import View
from gdws.onnx_io.parity import CannotRebuild
from gdws.onnx_io.run import run
from support import real_builder
from support.networks import SmallResNet, seeded

SHAPE = (3, 12, 12)
LAYOUTS = ("dense", "stacked", "gather", "grouped")


def pictures(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random((count, *SHAPE)).astype(np.float32)


def network(layout: str) -> nn.Module:
    dense = seeded(SmallResNet)
    if layout == "dense":
        return dense
    return gdws.convert(dense, mean_rank=2, layout=layout, example_input=SHAPE)[0]


@pytest.fixture(scope="module")
def floats() -> dict[str, bytes]:
    return {layout: export(network(layout), SHAPE) for layout in LAYOUTS}


@pytest.fixture(scope="module")
def integers(floats) -> dict[tuple[str, str], gdws.onnx_io.int8.Quantized]:
    return {
        (layout, scheme): quantize(floats[layout], pictures(24, 0), Int8Settings(scheme=scheme))
        for layout in LAYOUTS
        for scheme in SCHEMES
    }


def optimised(content: bytes, tmp_path) -> Counter[str]:
    """The operators that ONNX Runtime makes of a file."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return Counter(node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_it_computes_nearly_the_same(floats, integers, layout, scheme):
    found, unseen = integers[layout, scheme], pictures(200, 1)
    exact, rounded = (run(content, [unseen])[0] for content in (floats[layout], found.content))
    error = np.linalg.norm(exact - rounded) / np.linalg.norm(exact)
    assert 0 < error < 0.02
    assert found.error == pytest.approx(error, rel=0.5)  # told from images that gave no range
    assert not found.kept


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_twin_computes_what_the_file_does_and_has_gradients(integers, layout, scheme):
    content, unseen = integers[layout, scheme].content, pictures(300, 2)
    twin = QuantizedNetwork(content, SHAPE)
    images = torch.from_numpy(unseen).requires_grad_(True)
    mine, theirs = twin(images), run(content, [unseen])[0]
    difference = np.abs(mine.detach().numpy() - theirs)
    assert (mine.argmax(dim=1).numpy() == theirs.argmax(axis=1)).mean() > 0.99
    assert (difference > 1e-5).any(axis=1).mean() < 0.05  # but for values that rounding in another order moves a step
    assert difference.max() < 0.01 * np.abs(theirs).max()
    (gradient,) = torch.autograd.grad(mine.sum(), images)
    (expected,) = torch.autograd.grad(network(layout)(images).sum(), images)
    assert torch.cosine_similarity(gradient.flatten(), expected.flatten(), dim=0) > 0.9
    assert export(twin, SHAPE) == content


@pytest.mark.parametrize("zero_point", [np.uint8(0), np.uint8(128), np.int8(0)])
def test_gradients_pass_through_the_rounding_wherever_nothing_is_clipped(zero_point):
    x = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["batch", 1, 1, 9])
    y = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["batch", 1, 1, 9])
    constants = {"scale": np.float32(0.5), "zero": zero_point}
    graph = helper.make_graph(
        [
            helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
            helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"]),
        ],
        "one pair",
        [x],
        [y],
        [numpy_helper.from_array(np.array(value), name) for name, value in constants.items()],
    )
    content = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    limits = np.iinfo(zero_point.dtype)
    ends = [limits.min - int(zero_point), limits.max - int(zero_point)]
    steps = [
        ends[0] - 0.6,
        ends[0] - 0.4,
        ends[0],
        ends[0] + 0.4,
        0.3,
        *(ends[1] + each for each in (-0.4, 0, 0.4, 0.6)),
    ]
    images = (0.5 * torch.tensor(steps)).float().view(1, 1, 1, -1).requires_grad_(True)
    found = QuantizedNetwork(content, (1, 1, 9))(images)
    np.testing.assert_array_equal(found.detach().numpy(), run(content, [images.detach().numpy()])[0])
    (gradient,) = torch.autograd.grad(found.sum(), images)
    assert gradient.flatten().tolist() == [0, *[1] * 7, 0]  # torch's own clamp has none at its ends


def test_a_grid_that_is_left_for_another_has_no_twin(integers):
    model = onnx.load_from_string(integers["dense", "symmetric"].content)
    last = [node for node in model.graph.node if node.op_type == "DequantizeLinear"][-1]
    last.input[1] = next(node.input[1] for node in model.graph.node if node.op_type == "QuantizeLinear")
    with pytest.raises(CannotRebuild, match="QuantizeLinear node of the same scale"):
        QuantizedNetwork(model.SerializeToString(), SHAPE)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_onnx_runtime_computes_it_in_integers_throughout(integers, layout, tmp_path):
    operators = optimised(integers[layout, "asymmetric"].content, tmp_path)
    assert not {"Conv", "FusedConv", "Gemm", "Add", "Concat", "Relu", "BatchNormalization"} & set(operators)
    assert operators["QuantizeLinear"] == 2  # the input, and what the mean of each channel gives


@pytest.mark.parametrize("layout", LAYOUTS)
def test_tensorrt_finds_what_it_reads(integers, layout):
    view = View(onnx.load_from_string(integers[layout, "symmetric"].content))
    grids = [node for node in view.nodes if node.op_type.endswith("quantizeLinear") or "Quantize" in node.op_type]
    assert grids
    for node in grids:
        zero_point = view.constants[node.input[2]]
        assert zero_point.dtype == np.int8
        assert not zero_point.any()
    assert not any(array.dtype == np.int32 for array in view.constants.values())  # no integer biases


@pytest.mark.skipif(not real_builder.is_installed(), reason=real_builder.ABSENT)
def test_the_real_builder_of_tensorrt_takes_each_layout(integers, tmp_path):
    models = [integers[layout, "symmetric"].content for layout in LAYOUTS]
    for built in real_builder.build_all(tmp_path, models, shape=SHAPE, classes=5, precision="int8"):
        assert built.get("engine_bytes", 0) > 0, built
        assert "int8_ranges=of the model" in built["notes"]


def test_the_same_arguments_give_the_same_bytes(floats, integers):
    again = quantize(floats["stacked"], pictures(24, 0), Int8Settings(scheme="symmetric"))
    assert again.content == integers["stacked", "symmetric"].content


def test_depthwise_channels_of_very_different_size_lose_nothing(floats):
    """Scaling a filter up and its column down is the same function; balancing makes it the same in INT8 as well."""
    model = onnx.load_from_string(floats["grouped"])
    view = View(model)
    [depthwise] = [node for node in view.nodes if node.name.startswith("conv1.depthwise")]
    [pointwise] = view.consumers[depthwise.output[0]]
    factors = np.float32(10.0) ** np.linspace(-3, 3, len(view.constants[depthwise.input[1]])).astype(np.float32)
    for tensor in model.graph.initializer:
        scale = {depthwise.input[1]: factors[:, None, None, None], pointwise.input[1]: 1 / factors[None, :, None, None]}
        if tensor.name in scale:
            scaled = (view.constants[tensor.name] * scale[tensor.name]).astype(np.float32)
            tensor.CopyFrom(onnx.numpy_helper.from_array(scaled, tensor.name))
    images, settings = pictures(24, 0), Int8Settings(ranges="min-max")
    usual, uneven = (quantize(each, images, settings) for each in (floats["grouped"], model.SerializeToString()))
    assert uneven.balanced == usual.balanced > 0
    assert uneven.error == pytest.approx(usual.error, rel=0.05)


def test_layers_that_are_skipped_stay_in_floating_point(floats):
    found = quantize(floats["dense"], pictures(8, 0), Int8Settings(skip=("stem", "head")))
    assert set(found.kept) == {"stem", "head"}
    view = View(onnx.load_from_string(found.content))
    assert view.constants["stem.weight"].dtype == np.float32
    assert "conv1.weight" not in view.constants


def test_a_module_is_skipped_with_all_its_layers(floats):
    found = quantize(floats["stacked"], pictures(8, 0), Int8Settings(skip=("conv?",)))
    assert {name.split(".")[0] for name in found.kept} == {"conv1", "conv2"}
    assert set(found.layers) == {"stem", "shortcut", "head"}


def test_the_layers_that_cost_most_are_kept(floats):
    images = pictures(24, 0)
    whole = quantize(floats["stacked"], images)
    order = costly_layers(floats["stacked"], images, Int8Settings())
    assert set(order) == set(whole.layers)
    kept = quantize(floats["stacked"], images, Int8Settings(keep=2))
    assert set(kept.kept) == set(order[:2])
    others = quantize(floats["stacked"], images, Int8Settings(skip=order[-2:]))
    assert kept.error < others.error < whole.error


def test_one_layer_at_least_is_in_int8(floats):
    found = quantize(floats["dense"], pictures(8, 0), Int8Settings(keep=99))
    assert len(found.layers) == 1
    assert quantize(floats["dense"], pictures(1, 0), Int8Settings(keep=1)).kept == ()  # no image tells what it costs


def test_as_few_layers_are_kept_as_a_limit_needs(floats):
    images = pictures(24, 0)
    whole = quantize(floats["dense"], images)
    assert quantize(floats["dense"], images, Int8Settings(limit=2 * whole.error)).kept == ()
    found = quantize(floats["dense"], images, Int8Settings(limit=0.7 * whole.error))
    assert found.error <= 0.7 * whole.error
    fewer = quantize(floats["dense"], images, Int8Settings(keep=len(found.kept) - 1))
    assert fewer.error > 0.7 * whole.error
    with pytest.raises(GdwsError, match="with any layer in INT8"):
        quantize(floats["dense"], images, Int8Settings(limit=1e-9))


def test_layers_that_cannot_be_quantised_are_named():
    class Up(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down, self.up = nn.Conv2d(3, 4, 3), nn.ConvTranspose2d(4, 5, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.up(torch.relu(self.down(x))).mean(dim=(2, 3))

    found = quantize(export(Up().eval(), SHAPE), pictures(4, 0))
    assert (found.layers, found.kept) == (("down",), ("up",))


def test_one_image_is_enough_for_ranges_but_tells_no_error(floats):
    found = quantize(floats["dense"], pictures(1, 0))
    assert found.error is None
    assert found.ranges == "min-max"


def test_a_channel_of_zeros_and_a_tensor_of_zeros_are_kept_as_such(floats):
    model = onnx.load_from_string(floats["dense"])
    for tensor in model.graph.initializer:
        if tensor.name in ("conv1.weight", "conv2.weight", "conv2.bias"):
            values = onnx.numpy_helper.to_array(tensor) * np.float32(0)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    found = quantize(model.SerializeToString(), pictures(8, 0), Int8Settings(scheme="asymmetric"))
    exact, rounded = (run(each, [pictures(8, 1)])[0] for each in (model.SerializeToString(), found.content))
    np.testing.assert_allclose(rounded, exact, atol=0.02 * np.abs(exact).max())


def test_a_network_whose_outputs_are_all_zero_loses_nothing(floats):
    model = onnx.load_from_string(floats["dense"])
    for tensor in model.graph.initializer:
        if tensor.name in ("head.weight", "head.bias"):
            values = numpy_helper.to_array(tensor) * np.float32(0)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    found = quantize(model.SerializeToString(), pictures(8, 0), Int8Settings(limit=0.01))
    assert found.error == 0
    assert not found.kept


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"images": pictures(0, 0)}, DataError, "needs images"),
        ({"images": pictures(4, 0) * np.float32(np.nan)}, DataError, "NaN"),
        ({"images": pictures(4, 0) * np.float32(0)}, DataError, "all pixels of the calibration images are 0"),
        ({"images": pictures(4, 0)[:, :, :10]}, DataError, "images are 3x10x12, but the network takes 3x12x12"),
        ({"images": pictures(4, 0)[0]}, DataError, "images are 12x12, but the network takes 3x12x12"),
        ({"settings": Int8Settings(skip=("tail",))}, GdwsError, "no layer 'tail'"),
        ({"settings": Int8Settings(skip=("stem", "conv1", "conv2", "shortcut", "head"))}, GdwsError, "no layer"),
    ],
)
def test_what_cannot_be_quantised_is_refused(floats, change, error, words):
    with pytest.raises(error, match=words):
        quantize(**{"content": floats["dense"], "images": pictures(4, 0), **change})


def test_a_size_that_the_file_leaves_open_is_not_asked_of_the_images(floats):
    model = onnx.load_from_string(floats["dense"])
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    with pytest.raises(DataError, match=r"are 1x10x12, but the network takes 3x\?x12") as caught:
        quantize(model.SerializeToString(), pictures(4, 0)[:, :1, :10])
    assert "images of your own with --data DIR" in caught.value.hint


def test_a_tensor_that_overflows_is_named(floats):
    model = onnx.load_from_string(floats["dense"])
    for tensor in model.graph.initializer:
        if tensor.name in ("stem.weight", "conv2.weight"):
            values = onnx.numpy_helper.to_array(tensor) * np.float32(1e30)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    with pytest.raises(DataError, match=r"tensor '.*' contains NaN or infinity"):
        quantize(model.SerializeToString(), pictures(4, 0))


def test_a_file_in_int8_is_not_quantised_again(integers):
    with pytest.raises(GdwsError, match="already quantised"):
        quantize(integers["dense", "symmetric"].content, pictures(4, 0))


@pytest.mark.parametrize("kind", ["MatMulInteger", "QLinearConv", "DynamicQuantizeLinear"])
def test_nor_is_one_that_another_tool_quantised(floats, kind):
    model = onnx.load_from_string(floats["dense"])
    model.graph.node[-1].op_type = kind
    with pytest.raises(GdwsError, match="already quantised"):
        quantize(model.SerializeToString(), pictures(4, 0))


@pytest.mark.parametrize(
    "field", [{"scheme": "fast"}, {"ranges": "entropy"}, {"keep": -1}, {"limit": 0.0}, {"keep": 1, "limit": 0.1}]
)
def test_settings_say_what_is_legal(field):
    with pytest.raises(GdwsError, match=next(iter(field))):
        Int8Settings(**field)
