"""Linear layers that exporters write as a product and a sum, in the one operator that is rebuilt as a linear layer.

Their weights are then parameters, and their MACs are counted, as those of any other layer.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from gdws.onnx_io.graph import replace, used_by

Shapes = Mapping[str, npt.NDArray[np.int64]]


def as_linear_layers(model: onnx.ModelProto, shapes: Shapes) -> None:
    """Turn each ``MatMul`` of rows (N, K) with a constant (K, M), and the ``Add`` of a constant (M,) behind it, into
    ``Gemm``. ``shapes`` are those of the tensors, as far as they are known.
    """
    graph = model.graph
    sizes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    kept: list[onnx.NodeProto] = []
    left_out: set[int] = set()
    for index, node in enumerate(graph.node):
        if index in left_out:
            continue
        if (
            node.op_type == "MatMul"
            and len(shapes.get(node.input[0], ())) == 2
            and len(sizes.get(node.input[1], ())) == 2
        ):
            width = sizes[node.input[1]][1]
            added = _sum_behind(graph, node, sizes, width)
            inputs, output = list(node.input), node.output[0]
            if added is not None:
                left_out.add(added)
                follower = graph.node[added]
                inputs += [name for name in follower.input if name != output]
                output = follower.output[0]
            node = helper.make_node("Gemm", inputs, [output], name=node.name)
        kept.append(node)
    replace(graph.node, kept)


def _sum_behind(
    graph: onnx.GraphProto, node: onnx.NodeProto, sizes: Mapping[str, tuple[int, ...]], width: int
) -> int | None:
    """Where the one node is that uses the product, if it adds a constant (M,) to it."""
    product = node.output[0]
    users = [index for index, other in enumerate(graph.node) if product in used_by(other)]
    if len(users) != 1 or product in {value.name for value in graph.output}:
        return None
    follower = graph.node[users[0]]
    others = [name for name in follower.input if name != product]
    is_bias = follower.op_type == "Add" and len(others) == 1 and sizes.get(others[0]) == (width,)
    return users[0] if is_bias else None
