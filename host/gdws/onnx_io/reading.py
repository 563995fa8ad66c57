"""ONNX files as exporters write them, brought into the form that rebuilding starts from.

The functions change a model in place. They know ONNX alone, not torch. None changes the function that it computes,
but for rounding in :func:`widen`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import AttributeProto, TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator

from gdws.onnx_io.graph import replace, static_shapes, used_by

#: From this version of the format on weights need not be inputs.
_WEIGHTS_APART = 4
#: Numbers of fewer bits than float32 has.
_HALF = (TensorProto.FLOAT16, TensorProto.BFLOAT16)
#: Operators whose result is not a function of their inputs.
_RANDOM = ("RandomNormalLike", "RandomUniformLike", "Bernoulli", "Multinomial")
#: Attributes that name a type of numbers.
_TYPE_NAMES = ("to", "dtype")


def tidy(model: onnx.ModelProto) -> None:
    """Take weights out of the inputs, where IR 3 lists them, and write open axes in one way.

    An axis is open if it has no size, or one below 1, which some exporters write in place of a name.
    """
    graph = model.graph
    model.ir_version = max(model.ir_version, _WEIGHTS_APART)
    weights = {tensor.name for tensor in graph.initializer}
    replace(graph.input, [value for value in graph.input if value.name not in weights])
    for value in (*graph.input, *graph.output, *graph.value_info):
        for place, axis in enumerate(value.type.tensor_type.shape.dim):
            if axis.HasField("dim_value") and axis.dim_value < 1:
                axis.dim_param = f"{value.name}_axis_{place}"


def widen(model: onnx.ModelProto) -> bool:
    """Compute in float32 what the file computes in half precision, or throughout in float64; say if there was any.

    float64 alone in the middle of a graph, where shapes are computed, stays.
    """
    graph = model.graph
    others: tuple[int, ...] = _HALF
    if any(value.type.tensor_type.elem_type == TensorProto.DOUBLE for value in (*graph.input, *graph.output)):
        others += (TensorProto.DOUBLE,)
    found = False
    for tensor in _tensors(graph):
        if tensor.data_type in others:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name))
            found = True
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.name in _TYPE_NAMES and attribute.type == AttributeProto.INT and attribute.i in others:
                attribute.i = TensorProto.FLOAT
                found = True
    for value in (*graph.input, *graph.output):
        if value.type.tensor_type.elem_type in others:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
            found = True
    if found:
        del graph.value_info[:]
    return found


def fold_constants(model: onnx.ModelProto) -> None:
    """Replace each node that computes from constants alone by its result, e.g. a weight that is stored transposed."""
    graph = model.graph
    opsets = {each.domain: each.version for each in model.opset_import}
    constants = {tensor.name: tensor for tensor in graph.initializer}
    kept = []
    for node in graph.node:
        results = _results(node, constants, opsets)
        if results is None:
            kept.append(node)
        for name, value in (results or {}).items():
            constants[name] = numpy_helper.from_array(value, name)
            graph.initializer.append(constants[name])
    replace(graph.node, kept)


def keep_output(model: onnx.ModelProto, place: int) -> None:
    """Leave out all outputs but the one at ``place``, and the nodes that only others need."""
    graph = model.graph
    replace(graph.output, [graph.output[place]])
    needed = {graph.output[0].name}
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed |= used_by(node)
    replace(graph.node, reversed(kept))


def shapes_for(model: onnx.ModelProto, batch: int, shape: Sequence[int]) -> dict[str, npt.NDArray[np.int64]]:
    """The shapes, by tensor, that a model of one input has for so many samples of ``shape``."""
    sized = onnx.ModelProto()
    sized.CopyFrom(model)
    for axis, size in zip(sized.graph.input[0].type.tensor_type.shape.dim, (batch, *shape), strict=True):
        axis.dim_value = size
    del sized.graph.value_info[:]
    return static_shapes(sized)


def _tensors(graph: onnx.GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        yield from (attribute.t for attribute in node.attribute if attribute.type == AttributeProto.TENSOR)


def _results(
    node: onnx.NodeProto, constants: dict[str, TensorProto], opsets: dict[str, int]
) -> dict[str, npt.NDArray[Any]] | None:
    """What a node of constants gives, by output; None for any other, and for one that cannot be evaluated here."""
    given = [name for name in node.input if name]
    has_body = any(attribute.type == AttributeProto.GRAPH for attribute in node.attribute)
    if not given or has_body or node.op_type in _RANDOM or any(name not in constants for name in given):
        return None
    try:
        found = ReferenceEvaluator(node, opsets=opsets).run(
            None, {name: numpy_helper.to_array(constants[name]) for name in given}
        )
        return {name: np.asarray(value) for name, value in zip(node.output, found, strict=True) if name}
    except Exception:  # whatever its operators raise: the node stays, and rebuilding tells what is wrong with it
        return None
