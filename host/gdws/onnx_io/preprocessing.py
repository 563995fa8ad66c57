"""Preprocessing as the first nodes of an ONNX graph, so that the network takes pixels from 0 to 1."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from gdws.datasets.preprocessing import Preprocessing
from gdws.onnx_io.graph import replace, used_by


def put_first(model: onnx.ModelProto, preprocessing: Preprocessing, channels: int, *, channels_last: bool) -> None:
    """Let the graph of ``model`` begin with ``preprocessing`` of its one input, images of so many ``channels``.

    The input keeps its name and type. Raises :class:`~gdws.errors.ModelError` if the preprocessing is for another
    number of channels.
    """
    if preprocessing.is_identity:
        return
    mean, std = preprocessing.by_channel(channels)
    order = preprocessing.order(channels)
    graph = model.graph
    taken = {name for node in graph.node for name in (*used_by(node), *node.output)}
    number = helper.tensor_dtype_to_np_dtype(graph.input[0].type.tensor_type.elem_type)
    rank = len(graph.input[0].type.tensor_type.shape.dim)
    axis = rank - 1 if channels_last else 1
    shape = [channels if place == axis else 1 for place in range(rank)]
    steps = [("Sub", np.array(mean, number).reshape(shape)), ("Div", np.array(std, number).reshape(shape))]
    if order is not None:
        steps.insert(0, ("Gather", np.array(order, np.int64)))
    given = current = graph.input[0].name
    nodes = []
    for operator, constant in steps:
        weight, output = (_unused(f"{given}_{operator.lower()}{suffix}", taken) for suffix in ("_constant", ""))
        value = numpy_helper.from_array(constant, weight)
        nodes.append(helper.make_node("Constant", [], [weight], value=value))
        nodes.append(helper.make_node(operator, [current, weight], [output], name=output))
        if operator == "Gather":
            nodes[-1].attribute.append(helper.make_attribute("axis", axis))
        current = output
    for node in graph.node:
        replace(node.input, [current if name == given else name for name in node.input])
    replace(graph.node, [*nodes, *graph.node])
    del graph.value_info[:]


def _unused(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name
