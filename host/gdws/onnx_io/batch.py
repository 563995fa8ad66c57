"""The batch size of an ONNX graph: fixed by a tracer or an exporter, made free.

The functions change a model in place. They know ONNX alone, not torch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from gdws.onnx_io.graph import fold_shapes, is_small, replace, static_shapes

_BATCH = "batch_size"


class BatchDependence(ValueError):
    """Two traces differ in something that cannot be written as a function of the batch size."""


def free_batch(model: onnx.ModelProto, other: onnx.ModelProto, sizes: tuple[int, int]) -> None:
    """Make the batch size of ``model`` dynamic.

    ``model`` and ``other`` are traces of one network at the batch sizes ``sizes``, with constants gathered.
    Whatever differs between them depends on the batch: target shapes of ``Reshape`` get a -1, other shapes are
    computed from the input's, and constants that hold one row for each image, e.g. the zeros at which a recurrent cell
    starts, are expanded to it. So no size of the traces stays behind in the graph.

    Raises:
        BatchDependence: they differ in structure, in an attribute, or in a tensor that is neither.
    """
    graph = model.graph
    if [_skeleton(node) for node in graph.node] != [_skeleton(node) for node in other.graph.node]:
        raise BatchDependence("the network takes another path at another batch size")
    others = {tensor.name: tensor for tensor in other.graph.initializer}
    if {tensor.name for tensor in graph.initializer} != set(others):
        raise BatchDependence("the network has other weights at another batch size")
    computed: list[onnx.NodeProto] = []
    for tensor in list(graph.initializer):
        if tensor.SerializeToString() != others[tensor.name].SerializeToString():
            computed += _free(graph, tensor, others[tensor.name], sizes)
    if computed:
        replace(graph.node, [*_batch_nodes(graph), *computed, *graph.node])
    declare_any_batch(model)


def unfix_batch(model: onnx.ModelProto) -> None:
    """Let a model of one fixed batch size run at any: target shapes of ``Reshape`` keep the first axis of their input.

    Constants must be gathered. Right where the first axis is the batch in all of these, which is for the caller to
    check by running it. A model whose batch size is dynamic stays as it is.
    """
    graph = model.graph
    weights = {tensor.name for tensor in graph.initializer}
    [value] = [value for value in graph.input if value.name not in weights]
    size = value.type.tensor_type.shape.dim[0].dim_value
    if not size:
        return
    fold_shapes(model)
    shapes = static_shapes(model)
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer if is_small(tensor)}
    for node in graph.node:
        if node.op_type != "Reshape" or node.input[1] not in constants:
            continue
        source, target = shapes.get(node.input[0]), constants[node.input[1]]
        if source is not None and len(source) and source[0] == size and len(target) and target[0] == size:
            node.input[1] = f"{node.output[0]}_of_batch"
            graph.initializer.append(numpy_helper.from_array(np.array([0, *target[1:]]), node.input[1]))
    declare_any_batch(model)


def declare_any_batch(model: onnx.ModelProto) -> None:
    """Call the first axis of inputs and outputs a batch of any size; weights must not be inputs."""
    graph = model.graph
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    del graph.value_info[:]


def _free(
    graph: onnx.GraphProto, tensor: onnx.TensorProto, other: onnx.TensorProto, sizes: tuple[int, int]
) -> list[onnx.NodeProto]:
    """Rewrite one tensor that depends on the batch size; returns the nodes that compute it."""
    first, second = numpy_helper.to_array(tensor), numpy_helper.to_array(other)
    if first.dtype == np.int64 and first.shape == second.shape:
        return _free_shape(graph, tensor, first, second, sizes)
    if _is_one_row(first, second, sizes):
        return _expand_row(graph, tensor, first)
    raise BatchDependence(f"the tensor {tensor.name!r} depends on the batch size")


def _is_one_row(first: npt.NDArray[Any], second: npt.NDArray[Any], sizes: tuple[int, int]) -> bool:
    """Whether both are the same row, once for each image."""
    rows = [array for array, size in zip((first, second), sizes, strict=True) if array.ndim and len(array) == size]
    return (
        len(rows) == 2
        and first.shape[1:] == second.shape[1:]
        and all(np.array_equal(row, first[0]) for array in rows for row in array)
    )


def _expand_row(graph: onnx.GraphProto, tensor: onnx.TensorProto, rows: npt.NDArray[Any]) -> list[onnx.NodeProto]:
    row, tail, shape = (f"{tensor.name}.{part}" for part in ("row", "tail", "shape"))
    graph.initializer.remove(tensor)
    graph.initializer.append(numpy_helper.from_array(rows[:1], row))
    graph.initializer.append(numpy_helper.from_array(np.array(rows.shape[1:], np.int64), tail))
    return [
        helper.make_node("Concat", [_BATCH, tail], [shape], f"{tensor.name}_Concat", axis=0),
        helper.make_node("Expand", [row, shape], [tensor.name], f"{tensor.name}_Expand"),
    ]


def _free_shape(
    graph: onnx.GraphProto,
    tensor: onnx.TensorProto,
    first: npt.NDArray[np.int64],
    second: npt.NDArray[np.int64],
    sizes: tuple[int, int],
) -> list[onnx.NodeProto]:
    """Rewrite one shape; returns the nodes that compute it, none if a -1 will do."""
    slope = (second - first) // (sizes[1] - sizes[0])
    intercept = first - slope * sizes[0]
    if (intercept + slope * sizes[1] != second).any():
        raise BatchDependence(f"the tensor {tensor.name!r} is not a linear function of the batch size")
    users = [node for node in graph.node if tensor.name in node.input]
    if all(node.op_type == "Reshape" for node in users) and np.count_nonzero(slope) == 1 and not (first == -1).any():
        tensor.CopyFrom(numpy_helper.from_array(np.where(slope != 0, -1, first), tensor.name))
        return []
    graph.initializer.remove(tensor)
    graph.initializer.append(numpy_helper.from_array(slope, f"{tensor.name}.per_image"))
    graph.initializer.append(numpy_helper.from_array(intercept, f"{tensor.name}.fixed"))
    return [
        helper.make_node("Mul", [_BATCH, f"{tensor.name}.per_image"], [f"{tensor.name}.scaled"], f"{tensor.name}_Mul"),
        helper.make_node("Add", [f"{tensor.name}.scaled", f"{tensor.name}.fixed"], [tensor.name], f"{tensor.name}_Add"),
    ]


def _batch_nodes(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Nodes that compute the batch size, shape (1,), from the input's shape."""
    graph.initializer.append(numpy_helper.from_array(np.array([0], np.int64), f"{_BATCH}.axis"))
    return [
        helper.make_node("Shape", [graph.input[0].name], [f"{_BATCH}.shape"], f"{_BATCH}/Shape"),
        helper.make_node("Gather", [f"{_BATCH}.shape", f"{_BATCH}.axis"], [_BATCH], f"{_BATCH}/Gather"),
    ]


def _skeleton(node: onnx.NodeProto) -> tuple[str, tuple[str, ...], tuple[str, ...], bytes]:
    attributes = b"".join(attribute.SerializeToString(deterministic=True) for attribute in node.attribute)
    return node.op_type, tuple(node.input), tuple(node.output), attributes
