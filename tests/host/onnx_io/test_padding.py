"""Padding written out: the same function, in the one form that is read everywhere."""

import numpy as np
import pytest
from onnx import helper

from gdws.onnx_io.graph import static_shapes
from gdws.onnx_io.padding import attributes_of, pad_before_averages, pad_explicitly
from gdws.onnx_io.run import run as run_on_this_machine
from support.onnx_graphs import model, operators, run


@pytest.mark.parametrize(
    ("attributes", "pads"),
    [
        ({"auto_pad": "SAME_UPPER"}, [1, 1, 1, 2]),
        ({"auto_pad": "SAME_UPPER", "dilations": [2, 1]}, [2, 1, 2, 2]),
        ({"auto_pad": "VALID"}, [0, 0, 0, 0]),
        ({"auto_pad": "VALID", "strides": [2, 2]}, [0, 0, 0, 0]),
    ],
)
def test_padding_is_written_out(attributes, pads):
    weight = np.random.default_rng(0).normal(size=(2, 1, 3, 4)).astype(np.float32)
    node = helper.make_node("Conv", ["x", "w"], ["y"], **attributes)
    made = model([node], {"w": weight}, ["n", 1, 9, 8], ["n", 2, "h", "w"])
    x = np.random.default_rng(1).normal(size=(1, 1, 9, 8)).astype(np.float32)
    before = run(made, x)
    pad_explicitly(made)
    found = {each.name: helper.get_attribute_value(each) for each in made.graph.node[0].attribute}
    assert found["pads"] == pads
    assert "auto_pad" not in found
    assert np.allclose(run(made, x), before)


@pytest.mark.parametrize("attributes", [{"pads": [1, 1, 1, 1]}, {"auto_pad": "SAME_UPPER", "strides": [2, 2]}])
def test_other_padding_stays(attributes):
    node = helper.make_node("Conv", ["x", "w"], ["y"], **attributes)
    made = model([node], {"w": np.ones((2, 1, 3, 3), np.float32)}, ["n", 1, 9, 8], ["n", 2, "h", "w"])
    before = made.SerializeToString()
    pad_explicitly(made)
    assert made.SerializeToString() == before


def pooled(operator, size, **attributes):
    """One pool or convolution over (1, 2, H, W)."""
    tensors = {}
    if operator == "Conv":
        tensors = {"w": np.random.default_rng(0).normal(size=(3, 2, *attributes["kernel_shape"])).astype(np.float32)}
    if operator == "ConvTranspose":
        tensors = {"w": np.random.default_rng(0).normal(size=(2, 3, *attributes["kernel_shape"])).astype(np.float32)}
    node = helper.make_node(operator, ["x", *tensors], ["y"], **attributes)
    return model([node], tensors, [1, 2, *size], [1, "c", "h", "w"])


def outcome(made, size):
    x = np.random.default_rng(1).normal(size=(1, 2, *size)).astype(np.float32)
    return run_on_this_machine(made.SerializeToString(), [x])[0]


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("size", [(8, 9), (7, 12)])
@pytest.mark.parametrize(
    ("operator", "attributes"),
    [
        ("Conv", {}),
        ("Conv", {"strides": [2, 2]}),
        ("Conv", {"strides": [3, 1], "dilations": [1, 1]}),
        ("ConvTranspose", {"strides": [2, 2]}),
        ("MaxPool", {"strides": [2, 3]}),
        ("AveragePool", {"strides": [2, 2]}),
        ("AveragePool", {"strides": [2, 2], "count_include_pad": 1}),
        ("AveragePool", {}),
    ],
)
@pytest.mark.parametrize("kernel_shape", [[3, 3], [2, 4], [3, 5]])
def test_automatic_padding_is_what_the_file_computes(mode, size, operator, attributes, kernel_shape):
    made = pooled(operator, size, kernel_shape=kernel_shape, auto_pad=mode, **attributes)
    expected = outcome(made, size)
    shapes = static_shapes(made)
    pad_explicitly(made, shapes)
    assert all("auto_pad" not in attributes_of(node) for node in made.graph.node)
    pad_before_averages(made, shapes)
    np.testing.assert_allclose(outcome(made, size), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("opset", [10, 13])
@pytest.mark.parametrize("include", [0, 1])
def test_averages_padded_on_one_side_are_written_with_a_pad(opset, include):
    made = pooled("AveragePool", (6, 7), kernel_shape=[3, 2], pads=[0, 1, 1, 0], count_include_pad=include)
    made.opset_import[0].version = opset
    expected = outcome(made, (6, 7))
    pad_before_averages(made, static_shapes(made))
    assert operators(made) == ["Pad", "AveragePool", "Mul"][: 3 - include]
    np.testing.assert_allclose(outcome(made, (6, 7)), expected, rtol=1e-5, atol=1e-6)


def test_averages_of_unknown_size_stay():
    made = pooled("AveragePool", (6, 7), kernel_shape=[3, 2], pads=[0, 1, 1, 0])
    pad_before_averages(made, {})
    assert operators(made) == ["AveragePool"]
