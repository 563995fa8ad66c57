"""A graph as the passes of this package look at it: who makes a tensor, who uses it, and what is constant."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

#: Operators whose first constant operand is a weight that is multiplied.
LAYERS = frozenset({"Conv", "Gemm", "MatMul"})

#: Others that multiply by weights or by each other's outputs, and stay in floating point.
_OTHERS = frozenset({"ConvTranspose", "Einsum", "GRU", "LSTM", "RNN"})


class View:
    """The nodes of a model by the tensors between them. It is made anew after a change."""

    def __init__(self, model: onnx.ModelProto) -> None:
        graph = model.graph
        self.nodes = list(graph.node)
        self.constants: dict[str, npt.NDArray[Any]] = {
            tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer
        }
        self.inputs = [value.name for value in graph.input if value.name not in self.constants]
        self.outputs = {value.name for value in graph.output}
        self.producer = {name: node for node in self.nodes for name in node.output}
        self.consumers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in self.nodes:
            for name in dict.fromkeys(node.input):
                self.consumers[name].append(node)

    def is_layer(self, node: onnx.NodeProto) -> bool:
        """Whether ``node`` multiplies by constant weights in float32, and adds a constant bias if it adds one."""
        return (
            node.op_type in LAYERS
            and node.input[0] not in self.constants
            and all(name in self.constants for name in node.input[1:] if name)
            and self.constants[node.input[1]].dtype == np.float32
        )

    def sole_consumer(self, tensor: str) -> onnx.NodeProto | None:
        """The node that alone uses ``tensor``; None where there are several, or the tensor is an output."""
        users = self.consumers[tensor]
        return users[0] if len(users) == 1 and tensor not in self.outputs else None


def multiplies(node: onnx.NodeProto) -> bool:
    """Whether ``node`` is of a kind that costs time for what it multiplies, whether it can be in INT8 or not."""
    return node.op_type in LAYERS or node.op_type in _OTHERS


def is_of_integers(node: onnx.NodeProto) -> bool:
    """Whether ``node`` is of a kind that only quantised networks have, e.g. ``QuantizeLinear`` or ``MatMulInteger``."""
    kind = node.op_type
    return "Quantize" in kind or kind.startswith("QLinear") or kind in ("ConvInteger", "MatMulInteger", "QGemm")


def attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    """The value of an attribute of ``node``."""
    return next((onnx.helper.get_attribute_value(each) for each in node.attribute if each.name == name), default)


def name_of(node: onnx.NodeProto) -> str:
    """What a user calls ``node``: the path of its module, as exported, or else the tensor that it makes."""
    return str(node.name.rsplit("/", 1)[0] or node.name or node.output[0])


def output_axis(node: onnx.NodeProto) -> int:
    """The axis of a layer's weights that counts its output channels."""
    if node.op_type == "Conv" or (node.op_type == "Gemm" and attribute(node, "transB", 0)):
        return 0
    return 1


def set_constant(model: onnx.ModelProto, name: str, value: npt.NDArray[Any]) -> None:
    """Put ``value`` in place of the initialiser ``name``, or add it."""
    tensor = numpy_helper.from_array(np.array(value, order="C"), name)  # keeps a scalar one
    for each in model.graph.initializer:
        if each.name == name:
            each.CopyFrom(tensor)
            return
    model.graph.initializer.append(tensor)
