"""Inputs with the channels last (N, H, W, C), as exporters of TensorFlow write them, read with the channels first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from gdws.onnx_io.graph import replace

TO_LAST = (0, 2, 3, 1)
TO_FIRST = (0, 3, 1, 2)

#: What happens to pixels one by one, before the channels are moved.
_ELEMENTWISE = frozenset(("Add", "Cast", "Clip", "Div", "Identity", "Mul", "Neg", "Sub"))


def channels_last(model: onnx.ModelProto) -> bool | None:
    """Whether the only input has its channels last; None if the graph does not tell.

    Its channels are last if the graph begins by moving them to the front, or gives the one channel there is another
    place; they are first if it begins with a convolution.
    """
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    name = graph.input[0].name
    while True:
        readers = [node for node in graph.node if name in node.input]
        if len(readers) != 1:
            kinds = {node.op_type for node in readers}
            return False if "Conv" in kinds else None
        [node] = readers
        if node.op_type == "Conv":
            return False
        if node.op_type == "Transpose":
            return True if _permutation(node) == TO_FIRST else None
        if node.op_type == "Reshape" and node.input[1] in constants:
            return _moves_one_channel(graph.input[0], numpy_helper.to_array(constants[node.input[1]]).tolist())
        if node.op_type not in _ELEMENTWISE:
            return None
        name = node.output[0]


def looks_channels_last(axes: Sequence[int | None]) -> bool:
    """Whether (C, H, W) of these sizes are more likely (H, W, C)."""
    first, middle, last = axes
    return last in (1, 3, 4) and all(axis is not None and axis > 4 for axis in (first, middle))


def put_channels_first(model: onnx.ModelProto) -> None:
    """Let the input be (N, C, H, W), and move the channels behind it."""
    graph = model.graph
    [value] = graph.input
    given = value.name
    sizes = [graph.input[0].type.tensor_type.shape.dim[axis] for axis in TO_FIRST]
    value.name = f"{given}_channels_first"
    copies = [onnx.TensorShapeProto.Dimension.FromString(size.SerializeToString()) for size in sizes]
    replace(value.type.tensor_type.shape.dim, copies)
    moved = helper.make_node("Transpose", [value.name], [given], f"{given}_channels_last", perm=TO_LAST)
    replace(graph.node, [moved, *graph.node])
    _drop_moves_back(graph, given, value.name)


def _drop_moves_back(graph: onnx.GraphProto, last: str, first: str) -> None:
    """Read the tensor ``first`` where ``last`` is moved back to it."""
    readers = [node for node in graph.node if last in node.input]
    if not all(node.op_type == "Transpose" and _permutation(node) == TO_FIRST for node in readers):
        return
    gone = {node.output[0] for node in readers}
    if gone & {output.name for output in graph.output}:
        return
    kept = [node for node in graph.node if node not in readers and last not in node.output]
    for node in kept:
        replace(node.input, [first if name in gone else name for name in node.input])
    replace(graph.node, kept)


def _permutation(node: onnx.NodeProto) -> tuple[int, ...]:
    return tuple(next((attribute.ints for attribute in node.attribute if attribute.name == "perm"), ()))


def _moves_one_channel(value: onnx.ValueInfoProto, target: Sequence[int]) -> bool | None:
    """Whether (N, H, W, 1) become (N, 1, H, W)."""
    axes = [axis.dim_value for axis in value.type.tensor_type.shape.dim]
    if len(axes) != 4 or len(target) != 4 or axes[3] != 1 or axes[1] == 1:
        return None
    return True if target[1] == 1 and np.prod(target[2:]) == np.prod(axes[1:3]) else None
