from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from gdws_agent.backends.onnx_nodes import read_nodes
from gdws_agent.first_run.onnx_file import IR_VERSION, OPSET, Node, Value, write_model

WEIGHTS = {
    "weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2) - 7.5,
    "channels": np.array([0, 0, 1, 300], dtype=np.int64),
}
NODES = [
    Node("a/Gather", "Gather", ["input", "channels"], "picked", {"axis": 1}),
    Node("b/Conv", "Conv", ["picked", "weight"], "output", {"strides": (2, 1), "group": 1}),
]


def model() -> onnx.ModelProto:
    data = write_model("graph", NODES, WEIGHTS, Value("input", (301, 8, 8)), Value("output", (2, 4, 7)))
    return onnx.load_from_string(data)


def test_what_is_written_is_what_the_package_reads():
    read = model()
    assert (read.ir_version, read.opset_import[0].version) == (IR_VERSION, OPSET)
    assert [(node.name, node.op_type, list(node.input), list(node.output)) for node in read.graph.node] == [
        (node.name, node.operator, list(node.inputs), [node.output]) for node in NODES
    ]
    attributes = {
        each.name: onnx.helper.get_attribute_value(each) for node in read.graph.node for each in node.attribute
    }
    assert attributes == {"axis": 1, "strides": [2, 1], "group": 1}
    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in read.graph.initializer}
    for name, array in WEIGHTS.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_the_batch_axis_is_open():
    axes = model().graph.input[0].type.tensor_type.shape.dim
    assert [axis.dim_param or axis.dim_value for axis in axes] == ["batch", 301, 8, 8]


def test_an_array_that_is_not_in_c_order_is_written_as_it_reads():
    array = np.arange(6, dtype=np.float32).reshape(2, 3).T
    data = write_model("g", [], {"w": array}, Value("i", (1,)), Value("o", (1,)))
    np.testing.assert_array_equal(numpy_helper.to_array(onnx.load_from_string(data).graph.initializer[0]), array)


def test_the_agent_reads_it_too():
    data = write_model("g", NODES, WEIGHTS, Value("input", (301, 8, 8)), Value("output", (2, 4, 7)))
    assert [node.operator for node in read_nodes(data)] == ["Gather", "Conv"]


def test_a_type_that_it_cannot_write_is_refused():
    with pytest.raises(KeyError):
        write_model("g", [], {"w": np.zeros(3, np.float64)}, Value("i", (1,)), Value("o", (1,)))
