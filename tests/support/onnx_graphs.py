"""Small ONNX models made by hand: one input x, one output y."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

FLOAT = TensorProto.FLOAT


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
