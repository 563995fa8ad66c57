"""Tidying of ONNX graphs, on small graphs made by hand."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from gdws.onnx_graph import BatchDependence, fold_shapes, free_batch, gather_constants, pad_explicitly, rename

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def model(nodes, tensors, input_shape, output_shape) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", FLOAT, input_shape)],
        [helper.make_tensor_value_info("y", FLOAT, output_shape)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in tensors.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def operators(graph_model) -> list[str]:
    return [node.op_type for node in graph_model.graph.node]


def run(graph_model, x):
    return ReferenceEvaluator(graph_model).run(None, {"x": x})[0]


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


def flattened_by_hand(batch: int) -> onnx.ModelProto:
    """x (batch, 3, 2, 2) -> x.view(x.size(0), -1), as a tracer writes it."""
    return model(
        [
            helper.make_node("Shape", ["x"], ["shape"], "/Shape"),
            helper.make_node("Gather", ["shape", "zero"], ["size"], "/Gather", axis=0),
            helper.make_node("Unsqueeze", ["size", "axis"], ["vector"], "/Unsqueeze"),
            helper.make_node("Concat", ["vector", "rest"], ["target"], "/Concat", axis=0),
            helper.make_node("Reshape", ["x", "target"], ["y"], "/Reshape"),
        ],
        {"zero": np.int64(0), "axis": np.int64([0]), "rest": np.int64([-1])},
        [batch, 3, 2, 2],
        [batch, 12],
    )


def test_shapes_fold_and_the_batch_becomes_free():
    first, second = flattened_by_hand(2), flattened_by_hand(3)
    for each in (first, second):
        fold_shapes(each)
        assert operators(each) == ["Reshape"]
    free_batch(first, second, (2, 3))
    onnx.checker.check_model(first, full_check=True)
    assert operators(first) == ["Reshape"]
    (target,) = first.graph.initializer
    assert numpy_helper.to_array(target).tolist() == [-1, 12]
    for batch in (1, 2, 7):
        assert run(first, np.zeros((batch, 3, 2, 2), np.float32)).shape == (batch, 12)


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


def expanded(batch: int, target) -> onnx.ModelProto:
    nodes = [helper.make_node("Expand", ["bias", "target"], ["big"], "/Expand")]
    nodes.append(helper.make_node("Add", ["x", "big"], ["y"], "/Add"))
    return model(nodes, {"bias": np.ones((1, 4), np.float32), "target": np.int64(target)}, [batch, 4], [batch, 4])


def test_other_shapes_are_computed_from_the_input():
    made = expanded(2, [2, 4])
    free_batch(made, expanded(3, [3, 4]), (2, 3))
    onnx.checker.check_model(made, full_check=True)
    for batch in (1, 5):
        assert run(made, np.zeros((batch, 4), np.float32)).tolist() == np.ones((batch, 4)).tolist()


def test_products_with_the_batch():
    """A Reshape that folds the batch into another axis."""

    def made(batch):
        nodes = [
            helper.make_node("Reshape", ["x", "target"], ["z"], "/Reshape"),
            helper.make_node("Reshape", ["z", "back"], ["y"], "/Reshape_1"),
        ]
        tensors = {"target": np.int64([2, batch * 2, -1]), "back": np.int64([batch, 4])}
        return model(nodes, tensors, [batch, 4], [batch, 4])

    first, second = made(2), made(3)
    for each in (first, second):
        fold_shapes(each)
    free_batch(first, second, (2, 3))
    x = np.arange(20, dtype=np.float32).reshape(5, 4)
    assert np.array_equal(run(first, x), x)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (model([helper.make_node("Add", ["x", "x"], ["y"])], {}, [3, 4], [3, 4]), "another path"),
        (expanded(3, [3, 4, 4]), "target"),
        (expanded(3, [[3, 4]]), "target"),
    ],
)
def test_what_cannot_be_freed(other, message):
    with pytest.raises(BatchDependence, match=message):
        free_batch(expanded(2, [2, 4]), other, (2, 3))


def test_a_weight_that_depends_on_the_batch():
    def made(batch):
        return model([helper.make_node("Mul", ["x", "w"], ["y"])], {"w": np.float32([batch])}, [batch, 4], [batch, 4])

    with pytest.raises(BatchDependence, match="'w'"):
        free_batch(made(2), made(3), (2, 3))


def test_another_attribute_is_another_path():
    def made(batch):
        return model([helper.make_node("Concat", ["x"], ["y"], axis=batch - 2)], {}, [batch, 4], [batch, 4])

    with pytest.raises(BatchDependence, match="another path"):
        free_batch(made(2), made(3), (2, 3))


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
