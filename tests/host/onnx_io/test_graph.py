"""Tidying of ONNX graphs, on small graphs made by hand."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from gdws.onnx_io.graph import fold_shapes, gather_constants, rename, slice_subsampling
from support.onnx_graphs import flattened_by_hand, model, operators, run

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def test_gather_constants():
    made = model(
        [
            helper.make_node("Constant", [], ["one"], value=numpy_helper.from_array(np.float32([1]))),
            helper.make_node("Constant", [], ["two"], value_float=2.0),
            helper.make_node("Identity", ["weight"], ["same"]),
            helper.make_node("Identity", ["same"], ["again"]),
            helper.make_node("Add", ["x", "one"], ["a"]),
            helper.make_node("Mul", ["a", "two"], ["b"]),
            helper.make_node("Mul", ["b", "again"], ["c"]),
            helper.make_node("Identity", ["c"], ["y"]),
        ],
        {"weight": np.float32([3]), "unused": np.float32([0])},
        [2],
        [2],
    )
    gather_constants(made)
    onnx.checker.check_model(made)
    assert operators(made) == ["Add", "Mul", "Mul", "Identity"]
    assert {tensor.name for tensor in made.graph.initializer} == {"one", "two", "again"}
    assert run(made, np.float32([1, 2])).tolist() == [12, 18]


def test_shapes_fold():
    made = flattened_by_hand(2)
    fold_shapes(made)
    assert operators(made) == ["Reshape"]
    assert run(made, np.zeros((2, 3, 2, 2), np.float32)).shape == (2, 12)


def test_large_and_float_constants_are_not_folded():
    """Folding is for shapes: weights stay what they are."""
    made = model(
        [helper.make_node("Neg", ["weight"], ["negative"]), helper.make_node("Add", ["x", "negative"], ["y"])],
        {"weight": np.ones(4, np.float32)},
        [2, 4],
        [2, 4],
    )
    fold_shapes(made)
    assert operators(made) == ["Neg", "Add"]


@pytest.mark.parametrize("operator", ["AveragePool", "MaxPool"])
def test_pooling_over_single_pixels_is_a_slice(operator):
    node = helper.make_node(operator, ["x"], ["y"], kernel_shape=[1, 1], strides=[2, 3])
    made = model([node], {}, ["n", 2, 7, 8], ["n", 2, 4, 3])
    x = np.random.default_rng(0).normal(size=(3, 2, 7, 8)).astype(np.float32)
    slice_subsampling(made)
    onnx.checker.check_model(made, full_check=True)
    assert operators(made) == ["Slice"]
    assert np.array_equal(run(made, x), x[:, :, ::2, ::3])


@pytest.mark.parametrize("attributes", [{"kernel_shape": [1, 2]}, {"kernel_shape": [1, 1], "pads": [0, 1, 0, 0]}])
def test_other_pooling_stays(attributes):
    made = model([helper.make_node("AveragePool", ["x"], ["y"], **attributes)], {}, ["n", 1, 9, 8], ["n", 1, "h", "w"])
    slice_subsampling(made)
    assert operators(made) == ["AveragePool"]


def test_rename():
    made = model(
        [
            helper.make_node("Add", ["x", "c"], ["t1"], "/m_1/Add"),
            helper.make_node("Mul", ["t1", "net.w"], ["t2"], "/m_2/Mul"),
            helper.make_node("Mul", ["t2", "net.w"], ["y"], "/m_2/Mul"),
        ],
        {"c": np.float32([1]), "net.w": np.float32([2])},
        [3],
        [3],
    )
    rename(made, lambda name: name.strip("/"), lambda name: name[4:] if name.startswith("net.") else None)
    onnx.checker.check_model(made)
    assert [node.name for node in made.graph.node] == ["m_1/Add", "m_2/Mul", "m_2/Mul_1"]
    assert {tensor.name for tensor in made.graph.initializer} == {"m_1/Add.1", "w"}
    assert made.graph.node[1].input[0] == "m_1/Add:0"
    assert run(made, np.float32([0, 1, 2])).tolist() == [4, 8, 12]


def test_rename_reaches_into_loops():
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["go_on"]),
            helper.make_node("Add", ["state", "outer"], ["next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("trip", INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", FLOAT, None),
        ],
    )
    made = model(
        [
            helper.make_node("Neg", ["x"], ["outer"], "/Neg"),
            helper.make_node("Loop", ["trips", "start", "x"], ["y"], "/Loop", body=body),
        ],
        {"trips": np.int64(3), "start": np.array(True)},
        [2],
        [2],
    )
    gather_constants(made)
    rename(made, lambda name: f"renamed{name}", lambda _: None)
    onnx.checker.check_model(made)
    assert run(made, np.float32([1, 2])).tolist() == [-2, -4]
