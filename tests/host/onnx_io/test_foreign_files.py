"""ONNX files as other exporters write them: each gives the network that ONNX Runtime runs."""

import re

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import gdws
from gdws.errors import ModelError
from gdws.networks.sources import load_onnx as load_source
from gdws.onnx_io.export import export
from gdws.onnx_io.load import load_onnx
from gdws.onnx_io.run import run

FLOAT, HALF, DOUBLE = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE
TYPES = {FLOAT: np.float32, HALF: np.float16, DOUBLE: np.float64}
SHAPE = (3, 12, 10)
CONV = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
HEAD = [
    helper.make_node("GlobalAveragePool", ["r2"], ["g"]),
    helper.make_node("Flatten", ["g"], ["f"]),
    helper.make_node("Gemm", ["f", "fw", "fb"], ["y"], transB=1),
]


def convolutions(attributes=CONV, source="x"):
    return [
        helper.make_node("Conv", [source, "w1", "b1"], ["c1"], "conv1", **attributes),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("Conv", ["r1", "w2", "b2"], ["c2"], "conv2", **attributes),
        helper.make_node("Relu", ["c2"], ["r2"]),
    ]


def weights(kind=FLOAT, channels=3):
    rng = np.random.default_rng(0)
    shapes = {"w1": (8, channels, 3, 3), "b1": (8,), "w2": (8, 8, 3, 3), "b2": (8,), "fw": (5, 8), "fb": (5,)}
    return {name: (0.3 * rng.standard_normal(shape)).astype(TYPES[kind]) for name, shape in shapes.items()}


def written(path, nodes, tensors, *, axes=("n", *SHAPE), kind=FLOAT, outputs=("y",), opset=13, ir=8, change=None):
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", kind, list(axes))],
        [helper.make_tensor_value_info(name, kind, ["rows", "columns"]) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in tensors.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir)
    if change is not None:
        change(model)
    path.write_bytes(model.SerializeToString())
    return path


def assert_same(path, found, *, channels_last=False, kind=FLOAT, tolerance=1e-4):
    """The module computes on (N, C, H, W) what ONNX Runtime does on what the file takes."""
    x = np.random.default_rng(1).random((2, *found.input_shape), dtype=np.float32)
    given = np.ascontiguousarray(x.transpose(0, 2, 3, 1) if channels_last else x).astype(TYPES[kind])
    [expected] = run(path.read_bytes(), [given])
    with torch.no_grad():
        logits = found.module(torch.from_numpy(x))
    assert logits.dtype == torch.float32
    assert np.abs(logits.numpy() - expected).max() <= tolerance * np.abs(expected).max()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.onnx"


def all_weights_as_inputs(model):
    for tensor in model.graph.initializer:
        model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))


def test_weights_among_the_inputs_of_which_one_is_not_used(path):
    tensors = {**weights(), "unused": np.ones(4, np.float32)}
    written(path, [*convolutions(), *HEAD], tensors, opset=9, ir=3, change=all_weights_as_inputs)
    assert_same(path, load_onnx(path))


def with_axis(size):
    def change(model):
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = size

    return change


@pytest.mark.parametrize("size", [-1, 0])
def test_open_axes_that_are_written_as_numbers(path, size):
    written(path, [*convolutions(), *HEAD], weights(), change=with_axis(size))
    assert_same(written(path.with_name("named.onnx"), [*convolutions(), *HEAD], weights()), load_onnx(path))


def test_all_axes_are_written_as_numbers(path):
    written(path, [*convolutions(), *HEAD], weights(), axes=(-1, 3, -1, -1))
    with pytest.raises(ModelError, match="does not define the size"):
        load_onnx(path)
    assert_same(path, load_onnx(path, SHAPE))


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("strides", [[1, 1], [2, 2]])
@pytest.mark.parametrize("axes", [("n", *SHAPE), (4, *SHAPE), ("n", 3, "h", "w")])
def test_automatic_padding(path, mode, strides, axes):
    conv = {"kernel_shape": [3, 3], "auto_pad": mode, "strides": strides}
    written(path, [*convolutions(conv), *HEAD], weights(), axes=axes)
    found = load_onnx(path, SHAPE)
    if axes[0] == "n":
        assert_same(path, found)
    _, plan = gdws.convert(found.module, mean_rank=9, convert_first=True, example_input=SHAPE)
    assert len(plan.converted) == 2


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("kernel_shape", [[3, 3], [2, 3]])
def test_automatic_padding_of_dilated_convolutions(path, mode, kernel_shape):
    """Which ONNX Runtime does not run, and torch writes for padding="same"."""
    conv = {"kernel_shape": kernel_shape, "auto_pad": mode, "dilations": [2, 2]}
    tensors = {name: w[:, :, : kernel_shape[0]] if w.ndim == 4 else w for name, w in weights().items()}
    found = load_onnx(written(path, [*convolutions(conv), *HEAD], tensors))
    half = [k - 1 for k in kernel_shape]  # of 2 (k - 1), which is even
    explicit = {"kernel_shape": kernel_shape, "pads": [*half, *half], "dilations": [2, 2]}
    assert_same(written(path, [*convolutions(explicit), *HEAD], tensors), found)


@pytest.mark.parametrize("operator", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER"])
def test_automatic_padding_of_pools(path, operator, mode):
    pool = helper.make_node(operator, ["c"], ["p"], kernel_shape=[3, 2], strides=[2, 2], auto_pad=mode)
    first, *others = convolutions(source="p")
    stem = helper.make_node("Conv", ["x", "w0"], ["c"], kernel_shape=[1, 1])
    tensors = {**weights(), "w0": np.random.default_rng(2).normal(size=(3, 3, 1, 1)).astype(np.float32)}
    written(path, [stem, pool, first, *others, *HEAD], tensors)
    assert_same(path, load_onnx(path))


def transposed(w):
    return [helper.make_node("Transpose", ["t"], ["w2"], perm=[3, 2, 0, 1])], {"t": w.transpose(2, 3, 1, 0)}


def cast(w):
    return [helper.make_node("Cast", ["t"], ["w2"], to=FLOAT)], {"t": w.astype(np.float16)}


def same(w):
    return [helper.make_node("Identity", ["t"], ["w2"])], {"t": w}


def reshaped(w):
    return [helper.make_node("Reshape", ["t", "s"], ["w2"])], {"t": w.reshape(8, -1), "s": np.int64([8, 8, 3, 3])}


def scaled(w):
    return [helper.make_node("Mul", ["t", "s"], ["w2"])], {"t": w, "s": np.full((8, 1, 1, 1), 0.5, np.float32)}


def dequantized(w):
    t, s, z = (w * 50).round().astype(np.int8), np.full(8, 0.02, np.float32), np.zeros(8, np.int8)
    return [helper.make_node("DequantizeLinear", ["t", "s", "z"], ["w2"], axis=0)], {"t": t, "s": s, "z": z}


def quantized_and_back(w):
    s, z = np.float32(0.02), np.int8(0)
    return [
        helper.make_node("QuantizeLinear", ["t", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["w2"]),
    ], {"t": w, "s": s, "z": z}


def joined(w):
    return [helper.make_node("Concat", ["t", "u"], ["w2"], axis=0)], {"t": w[:3], "u": w[3:]}


def normalised(w):
    return [
        helper.make_node("ReduceMean", ["t"], ["m"], axes=[1, 2, 3]),
        helper.make_node("Sub", ["t", "m"], ["w2"]),
    ], {"t": w}


def of_constant_nodes(w):
    tensor = numpy_helper.from_array(w.transpose(1, 0, 2, 3).copy(), "t")
    return [
        helper.make_node("Constant", [], ["t"], value=tensor),
        helper.make_node("Transpose", ["t"], ["w2"], perm=[1, 0, 2, 3]),
    ], {}


def clipped(w):
    return [helper.make_node("Clip", ["t", "", "s"], ["w2"])], {"t": w, "s": np.float32(0.2)}


@pytest.mark.parametrize(
    "compute",
    [
        transposed,
        cast,
        same,
        reshaped,
        scaled,
        dequantized,
        quantized_and_back,
        joined,
        normalised,
        of_constant_nodes,
        clipped,
    ],
)
def test_weights_that_are_computed_from_constants(path, compute):
    tensors = weights()
    nodes, constants = compute(tensors.pop("w2"))
    written(path, [*nodes, *convolutions(), *HEAD], {**tensors, **constants})
    found = load_onnx(path)
    assert_same(path, found)
    _, plan = gdws.convert(found.module, mean_rank=1, example_input=SHAPE)
    assert len(plan.converted) == 1


def test_a_weight_that_depends_on_the_input_is_named_and_left_in_the_graph(path):
    tensors = weights()
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["m"], axes=[0, 1, 2, 3]),
        helper.make_node("Mul", ["m", "t"], ["w2"]),
    ]
    tensors["t"] = tensors.pop("w2")
    written(path, [*nodes, *convolutions(), *HEAD], tensors)
    found = load_onnx(path)
    assert re.search(r"node 'conv2' \(Conv\) .*its weight 'w2' depends on the input", found.notes[-1])
    assert [name for name, _ in found.module.named_children()] == ["conv1", "constants"]


def test_half_precision_throughout(path):
    written(path, [*convolutions(), *HEAD], weights(HALF), kind=HALF)
    found = load_onnx(path)
    assert_same(path, found, kind=HALF, tolerance=0.01)
    assert any("float16" in note and "float32" in note for note in found.notes)
    assert all(parameter.dtype == torch.float32 for parameter in found.module.parameters())
    assert export(gdws.convert(found.module, mean_rank=3, example_input=SHAPE)[0], SHAPE)


def test_half_precision_inside(path):
    nodes = [
        helper.make_node("Cast", ["x"], ["half"], to=HALF),
        *convolutions(source="half"),
        *HEAD[:2],
        helper.make_node("Gemm", ["f", "fw", "fb"], ["z"], transB=1),
        helper.make_node("Cast", ["z"], ["y"], to=FLOAT),
    ]
    written(path, nodes, weights(HALF))
    found = load_source(path)
    assert_same(path, found, tolerance=0.01)
    assert any("half precision" in note for note in found.notes)


def test_double_precision_throughout(path):
    """ONNX Runtime has no convolutions of float64, so the module is compared with a file of the same in float32."""
    written(path, [*convolutions(), *HEAD], weights(DOUBLE), kind=DOUBLE)
    found = load_onnx(path)
    assert_same(written(path.with_name("float.onnx"), [*convolutions(), *HEAD], weights()), found)
    assert any("double" in note for note in found.notes)


def test_plain_files_have_no_notes(path):
    assert load_onnx(written(path, [*convolutions(), *HEAD], weights())).notes == ()


HWC = (SHAPE[1], SHAPE[2], SHAPE[0])
MOVE = helper.make_node("Transpose", ["x"], ["first"], perm=[0, 3, 1, 2])


@pytest.mark.parametrize("batch", ["n", 2])
@pytest.mark.parametrize("wanted", [None, SHAPE])
def test_channels_last(path, batch, wanted):
    written(path, [MOVE, *convolutions(source="first"), *HEAD], weights(), axes=(batch, *HWC))
    found = load_source(path, wanted)
    assert found.input_shape == SHAPE
    assert_same(path, found, channels_last=True)
    assert any("(N, H, W, C)" in note for note in found.notes)
    assert not any("Transpose" in name for name, _ in found.module.named_modules())
    assert export(found.module, SHAPE)


def test_channels_last_behind_arithmetic_on_pixels(path):
    nodes = [
        helper.make_node("Sub", ["x", "mean"], ["centred"]),
        helper.make_node("Transpose", ["centred"], ["first"], perm=[0, 3, 1, 2]),
        *convolutions(source="first"),
        *HEAD,
    ]
    written(path, nodes, {**weights(), "mean": np.float32([0.1, 0.2, 0.3])}, axes=("n", *HWC))
    found = load_onnx(path)
    assert found.input_shape == SHAPE
    assert_same(path, found, channels_last=True)


def test_one_channel_last_that_is_reshaped(path):
    nodes = [helper.make_node("Reshape", ["x", "s"], ["first"]), *convolutions(source="first"), *HEAD]
    written(path, nodes, {**weights(channels=1), "s": np.int64([-1, 1, 12, 10])}, axes=("n", 12, 10, 1))
    found = load_onnx(path)
    assert found.input_shape == (1, 12, 10)
    assert_same(path, found, channels_last=True)


def test_channels_last_in_half_precision(path):
    written(path, [MOVE, *convolutions(source="first"), *HEAD], weights(HALF), axes=("n", *HWC), kind=HALF)
    found = load_onnx(path)
    assert found.input_shape == SHAPE
    assert len(found.notes) == 2


def pooled_first(path):
    """Nothing here tells which axis has the channels."""
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["m"], axes=[2], keepdims=0),
        helper.make_node("Flatten", ["m"], ["f"]),
        helper.make_node("Gemm", ["f", "w"], ["y"]),
    ]
    return written(path, nodes, {"w": np.ones((36, 5), np.float32)}, axes=("n", *HWC))


def test_an_order_of_axes_that_nothing_tells_is_asked_for(path):
    with pytest.raises(ModelError, match=r"12x10x3.*first or the last") as caught:
        load_onnx(pooled_first(path))
    assert "--input-shape 3,12,10 if they are last" in caught.value.hint
    last = load_onnx(path, SHAPE)
    assert last.input_shape == SHAPE
    assert_same(path, last, channels_last=True)
    first = load_onnx(path, HWC)
    assert first.input_shape == HWC
    assert_same(path, first)


def test_an_image_of_few_columns_has_its_channels_first_where_a_convolution_reads_it(path):
    written(path, [*convolutions(), *HEAD], weights(channels=7), axes=("n", 7, 9, 3))
    assert load_onnx(path).input_shape == (7, 9, 3)


def two_outputs(path):
    nodes = [*convolutions(), *HEAD, helper.make_node("Det", ["r1"], ["aux"])]
    return written(path, nodes, weights(), outputs=("aux", "y"))


@pytest.mark.parametrize("output", ["y", 1])
def test_one_of_several_outputs_is_chosen_and_what_only_others_need_is_left_out(path, output):
    found = load_onnx(two_outputs(path), output=output)
    alone = written(path.with_name("alone.onnx"), [*convolutions(), *HEAD], weights())
    assert_same(alone, found)


@pytest.mark.parametrize("output", ["z", 2, -1])
def test_the_outputs_there_are_are_told(path, output):
    with pytest.raises(ModelError, match="aux, y") as caught:
        load_onnx(two_outputs(path), output=output)
    assert "--output" in caught.value.hint


def test_an_input_of_other_numbers(path):
    cast_first = [helper.make_node("Cast", ["x"], ["first"], to=FLOAT), *convolutions(source="first"), *HEAD]
    written(path, cast_first, weights())
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="is uint8 with 4 axes"):
        load_onnx(path)
