"""How many axes tensors have, where shape inference cannot tell."""

from __future__ import annotations

import onnx
from onnx import helper


def declare_ranks(model: onnx.ModelProto) -> None:
    """Declare the rank of each input of a ``BatchNormalization`` that a convolution of constant weight computes.

    Both have as many axes. Shape inference loses that behind a ``Reshape`` to a shape that is computed, as Paddle
    exports it, and onnx2torch has a layer for each rank.
    """
    graph = model.graph
    axes = {tensor.name: len(tensor.dims) for tensor in graph.initializer}
    ranks = {node.output[0]: axes.get(node.input[1]) for node in graph.node if node.op_type == "Conv"}
    declared = {value.name: value for value in graph.value_info}
    for node in graph.node:
        name = node.input[0] if node.op_type == "BatchNormalization" else ""
        rank = ranks.get(name)
        if rank is None or (name in declared and declared[name].type.tensor_type.HasField("shape")):
            continue
        if name not in declared:
            declared[name] = graph.value_info.add()
        declared[name].CopyFrom(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None] * rank))
