"""Clean-up of an ONNX graph from a tracing exporter.

The functions change a model in place. They know ONNX alone, not torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

#: The kinds of ``Constant`` that the exporter writes besides tensors.
_NUMBERS = {
    "value_float": np.float32,
    "value_floats": np.float32,
    "value_int": np.int64,
    "value_ints": np.int64,
}

#: What shapes are made of, few integers and the truth values of comparing them, and what computes with them.
_SHAPE_SIZE = 64
_SHAPE_TYPES = (onnx.TensorProto.INT64, onnx.TensorProto.INT32, onnx.TensorProto.BOOL)
_SHAPE_OPERATORS = frozenset(
    (
        "Add",
        "Cast",
        "Concat",
        "ConstantOfShape",
        "Div",
        "Equal",
        "Gather",
        "Identity",
        "Mul",
        "Neg",
        "Reshape",
        "Slice",
        "Squeeze",
        "Sub",
        "Transpose",
        "Unsqueeze",
        "Where",
    )
)


def gather_constants(model: onnx.ModelProto) -> None:
    """Make an initialiser of each ``Constant`` node and of each ``Identity`` of an initialiser.

    Exporters share equal initialisers through ``Identity`` nodes, e.g. the biases of fresh BN layers. Readers of
    ONNX that expect a layer's weights to be initialisers fail on them, so each gets a copy.
    """
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    kept = []
    for node in graph.node:
        tensor = _constant(node, constants)
        if tensor is None:
            kept.append(node)
            continue
        copy = onnx.TensorProto()
        copy.CopyFrom(tensor)
        copy.name = node.output[0]
        constants[copy.name] = copy
    replace(graph.node, kept)
    replace(graph.initializer, constants.values())
    drop_unused_initializers(graph)


def fold_shapes(model: onnx.ModelProto) -> None:
    """Replace arithmetic on shapes by its results, in a model whose input shape is fixed.

    A tracer that loses track of a shape, e.g. at a reflecting ``Pad``, writes such arithmetic for each ``view``.
    """
    graph = model.graph
    while True:
        constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer if is_small(tensor)}
        shapes = static_shapes(model)
        kept, folded = [], []
        for node in graph.node:
            value = _shape_value(node, constants, shapes, model.opset_import[0].version)
            if value is None:
                kept.append(node)
            else:
                constants[node.output[0]] = value
                folded.append(numpy_helper.from_array(value, node.output[0]))
        if not folded:
            break
        replace(graph.node, kept)
        graph.initializer.extend(folded)  # a folded target shape lets the next pass see past its Reshape
    for node in graph.node:
        if node.op_type == "Reshape" and node.input[1] in constants and node.output[0] in shapes:
            # Without a -1 or 0, what depends on the batch size is plain to see.
            node.input[1] = f"{node.output[0]}_shape"
            graph.initializer.append(numpy_helper.from_array(shapes[node.output[0]], node.input[1]))
    drop_unused_initializers(graph)


def slice_subsampling(model: onnx.ModelProto) -> None:
    """Write pooling over windows of one pixel, a way to take each second one, as the ``Slice`` that it is.

    ONNX Runtime merges a ``Pad`` before it into the pooling, and then refuses a window smaller than its padding.
    """
    for node in model.graph.node:
        attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        pools = node.op_type in ("AveragePool", "MaxPool") and len(node.output) == 1
        if not pools or set(attributes["kernel_shape"]) != {1} or any(attributes.get("pads", [])):
            continue
        axes = len(attributes["kernel_shape"])
        bounds = {
            "starts": [0] * axes,
            "ends": [np.iinfo(np.int64).max] * axes,
            "axes": range(2, 2 + axes),
            "steps": attributes.get("strides", [1] * axes),
        }
        for name, values in bounds.items():
            tensor = numpy_helper.from_array(np.array(values, np.int64), f"{node.output[0]}_{name}")
            model.graph.initializer.append(tensor)
            node.input.append(tensor.name)
        node.op_type = "Slice"
        replace(node.attribute, [])


def rename(model: onnx.ModelProto, node_name: Callable[[str], str], weight_name: Callable[[str], str | None]) -> None:
    """Give nodes and tensors readable names.

    Each node is renamed to ``node_name`` of its name, made unique, and its outputs after it. Each initialiser is
    renamed to ``weight_name`` of its name; where that is None it is a constant, and named after the node it feeds.
    """
    graph = model.graph
    kept = {value.name for value in (*graph.input, *graph.output)}
    constants = {tensor.name for tensor in graph.initializer if weight_name(tensor.name) is None}
    names = {tensor.name: weight_name(tensor.name) or tensor.name for tensor in graph.initializer}
    taken: set[str] = set()
    for node in graph.node:
        node.name = unused(node_name(node.name), taken)
        fed = {tensor: f"{node.name}.{index}" for index, tensor in enumerate(node.input) if tensor in constants}
        made = {tensor: f"{node.name}:{index}" for index, tensor in enumerate(node.output) if tensor not in kept}
        names.update(fed | made)
        constants -= set(fed)
    for tensor in graph.initializer:
        tensor.name = names[tensor.name]
    rename_tensors(graph, names)


def drop_needless_allowzero(model: onnx.ModelProto) -> None:
    """Drop ``allowzero`` from each ``Reshape`` to a constant shape without a 0, where it has no effect."""
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer if is_small(tensor)}
    for node in model.graph.node:
        if node.op_type == "Reshape" and node.input[1] in constants and (constants[node.input[1]] != 0).all():
            replace(node.attribute, [each for each in node.attribute if each.name != "allowzero"])


def _constant(node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> onnx.TensorProto | None:
    """The tensor that a ``Constant``, or an ``Identity`` of an initialiser, stands for; None for other nodes."""
    if node.op_type == "Identity":
        return constants.get(node.input[0])
    if node.op_type != "Constant":
        return None
    (attribute,) = node.attribute
    if attribute.name == "value":
        tensor: onnx.TensorProto = attribute.t
        return tensor
    if attribute.name not in _NUMBERS:
        return None
    return numpy_helper.from_array(np.array(helper.get_attribute_value(attribute), _NUMBERS[attribute.name]))


def is_small(tensor: onnx.TensorProto) -> bool:
    return int(np.prod(tensor.dims)) <= _SHAPE_SIZE and tensor.data_type in _SHAPE_TYPES


def static_shapes(model: onnx.ModelProto) -> dict[str, npt.NDArray[np.int64]]:
    """The shapes that ONNX can infer, by tensor; those with an unknown axis are left out."""
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {}
    for value in (*inferred.input, *inferred.value_info, *inferred.output):
        tensor = value.type.tensor_type
        if tensor.HasField("shape") and all(axis.HasField("dim_value") for axis in tensor.shape.dim):
            shapes[value.name] = np.array([axis.dim_value for axis in tensor.shape.dim], np.int64)
    return shapes


def _shape_value(
    node: onnx.NodeProto,
    constants: dict[str, npt.NDArray[Any]],
    shapes: dict[str, npt.NDArray[np.int64]],
    opset: int,
) -> npt.NDArray[Any] | None:
    """The result of a node that computes with shapes, or None if it does something else."""
    if node.op_type == "Shape" and not node.attribute and node.input[0] in shapes:
        return shapes[node.input[0]]
    if node.op_type not in _SHAPE_OPERATORS or not all(name in constants for name in node.input):
        return None
    (result,) = ReferenceEvaluator(node, opsets={"": opset}).run(None, {name: constants[name] for name in node.input})
    value = np.asarray(result)
    of_shape = value.size <= _SHAPE_SIZE and helper.np_dtype_to_tensor_dtype(value.dtype) in _SHAPE_TYPES
    return value if of_shape else None


def drop_unused_initializers(graph: onnx.GraphProto) -> None:
    """Leave out initialisers that no node and no output refers to."""
    used = _used_tensors(graph)
    replace(graph.initializer, [tensor for tensor in graph.initializer if tensor.name in used])


def _used_tensors(graph: onnx.GraphProto) -> set[str]:
    """Names that nodes refer to, in the bodies of loops and branches too."""
    return {output.name for output in graph.output}.union(*map(used_by, graph.node))


def used_by(node: onnx.NodeProto) -> set[str]:
    """Names that a node refers to, in its body too."""
    bodies = [attribute.g for attribute in node.attribute if attribute.type == onnx.AttributeProto.GRAPH]
    return set(node.input).union(*map(_used_tensors, bodies))


def rename_tensors(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    """Rename tensors wherever nodes use them, in the bodies of loops and branches too."""
    for node in graph.node:
        for refer in (node.input, node.output):
            replace(refer, [names.get(name, name) for name in refer])
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                rename_tensors(attribute.g, names)
                for output in attribute.g.output:
                    output.name = names.get(output.name, output.name)


def unused(name: str, taken: set[str]) -> str:
    """``name``, with a number behind it if it is in ``taken``, to which the result is added."""
    candidate, count = name, 1
    while candidate in taken:
        candidate = f"{name}_{count}"
        count += 1
    taken.add(candidate)
    return candidate


def replace(field: object, values: Iterable[object]) -> None:
    """Set a repeated protobuf field."""
    kept = list(values)
    del field[:]  # type: ignore[attr-defined]
    field.extend(kept)  # type: ignore[attr-defined]
