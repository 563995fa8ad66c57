"""Rewriting of a float network into one of the same function that loses less when it is quantised.

The functions change a model in place.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx

from gdws.onnx_io.graph import drop_unused_initializers, replace
from gdws.onnx_io.int8.view import View, attribute, set_constant

Floats = npt.NDArray[np.float32]


def fold_batch_norms(model: onnx.ModelProto) -> None:
    """Take each ``BatchNormalization`` that alone follows a convolution into its weights and bias.

    Runtimes do so for networks in floating point; between quantised layers it would be a layer of its own.
    """
    view = View(model)
    dropped: list[str] = []
    for norm in view.nodes:
        conv = view.producer.get(norm.input[0])
        if norm.op_type != "BatchNormalization" or conv is None or conv.op_type != "Conv" or not view.is_layer(conv):
            continue
        alone = view.sole_consumer(conv.output[0]) is norm and len(view.consumers[conv.input[1]]) == 1
        if not alone or any(name not in view.constants for name in norm.input[1:5]):
            continue
        gain, shift, mean, variance = (view.constants[name].astype(np.float64) for name in norm.input[1:5])
        factor = gain / np.sqrt(variance + attribute(norm, "epsilon", 1e-5))
        weight = view.constants[conv.input[1]]
        bias = view.constants[conv.input[2]] if len(conv.input) > 2 and conv.input[2] else np.zeros(len(weight))
        set_constant(model, conv.input[1], (weight * _along_first(factor, weight.ndim)).astype(np.float32))
        name = f"{norm.output[0]}_bias"
        set_constant(model, name, ((bias - mean) * factor + shift).astype(np.float32))
        del conv.input[2:]
        conv.input.append(name)
        dropped.append(norm.output[0])
        conv.output[0] = norm.output[0]
    replace(model.graph.node, [node for node in view.nodes if not _is_folded(node, dropped)])
    drop_unused_initializers(model.graph)


def balance_channels(model: onnx.ModelProto, largest: Mapping[str, Floats]) -> int:
    """Even out the channels between layers with nothing but a ``Concat`` in between; return how many are.

    Activations have one scale for all channels, so that a channel of small values is left with few of the 256 levels.
    Dividing a channel of the first layer by s and multiplying the column of the second by s is the same function;
    s = sqrt(activation / column) gives both the geometric mean of their largest values (Nagel et al., 2019,
    arXiv:1906.04721). A depthwise filter and its pointwise column are such a pair.

    ``largest`` has the largest absolute value of each channel, (C,), of the tensors of :func:`balanced_tensors`.
    """
    view = View(model)
    constants = dict(view.constants)
    for tensor, found in largest.items():
        second = view.consumers[tensor][0]
        columns = np.abs(constants[second.input[1]]).max(axis=(0, 2, 3))
        usable = (found > 0) & (columns > 0)
        scale = np.where(usable, np.sqrt(found / np.where(usable, columns, 1)), 1).astype(np.float32)
        constants[second.input[1]] = constants[second.input[1]] * scale[None, :, None, None]
        for first in _makers(view, tensor):
            share, scale = np.split(scale, [len(constants[first.input[1]])])
            for name in filter(None, first.input[1:]):
                constants[name] = constants[name] / _along_first(share, constants[name].ndim)
    for name, value in constants.items():
        if value is not view.constants[name]:
            set_constant(model, name, value)
    return len(largest)


def balanced_tensors(model: onnx.ModelProto) -> list[str]:
    """The tensors of four axes that go from layers with weights of their own to one convolution without groups."""
    view = View(model)
    return [node.input[0] for node in view.nodes if _takes_balanced(view, node)]


def _takes_balanced(view: View, node: onnx.NodeProto) -> bool:
    """Whether the channels that ``node`` takes can be scaled where they are made, and back in its weights."""
    if not _has_own_weights(view, node) or len(view.consumers[node.input[0]]) != 1 or node.input[0] in view.outputs:
        return False
    makers = _makers(view, node.input[0])
    has_columns = attribute(node, "group", 1) == 1 and view.constants[node.input[1]].ndim == 4
    return has_columns and bool(makers) and all(_has_own_weights(view, maker) for maker in makers)


def _makers(view: View, tensor: str) -> list[onnx.NodeProto]:
    """The nodes that make the channels of ``tensor``, in their order; none where something else comes in between."""
    last: onnx.NodeProto | None = view.producer.get(tensor)
    if last is None or last.op_type != "Concat":
        return [] if last is None else [last]
    if attribute(last, "axis", 1) != 1 or len(set(last.input)) < len(last.input):
        return []
    makers = [view.producer[name] for name in last.input if name in view.producer and view.sole_consumer(name) is last]
    return makers if len(makers) == len(last.input) else []


def _has_own_weights(view: View, node: onnx.NodeProto) -> bool:
    return (
        node.op_type == "Conv"
        and view.is_layer(node)
        and all(len(view.consumers[name]) == 1 for name in node.input[1:] if name)
    )


def _is_folded(node: onnx.NodeProto, dropped: list[str]) -> bool:
    return node.op_type == "BatchNormalization" and node.output[0] in dropped


def _along_first(values: npt.NDArray[np.floating], axes: int) -> npt.NDArray[np.floating]:
    """``values`` (C,) so that they multiply the first of ``axes`` axes."""
    return values.reshape(-1, *[1] * (axes - 1))
