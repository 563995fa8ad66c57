"""The padding of ONNX convolutions and pools written out, where a reader knows it in one form alone.

The functions change a model in place. They know ONNX alone, not torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from gdws.onnx_io.graph import replace

Shapes = Mapping[str, npt.NDArray[np.int64]]

_PADDED = ("Conv", "ConvTranspose", "MaxPool", "AveragePool")
#: From this opset on, ``Pad`` takes its amounts as an input.
_PAD_BY_INPUT = 11


def pad_explicitly(model: onnx.ModelProto, shapes: Shapes | None = None, *, dilated_alone: bool = False) -> None:
    """Write out ``auto_pad`` as ``pads``, which depends on the input's size where a stride is not 1.

    ``shapes`` has the shapes that are known, by tensor. What depends on one that is not known stays as it is.
    torch's 'same' and 'valid' become ``auto_pad``, which ONNX Runtime does not have for dilated convolutions;
    ``dilated_alone`` leaves all others as they are.
    """
    weights = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    for node in model.graph.node:
        attributes = attributes_of(node)
        mode = attributes.get("auto_pad", b"NOTSET")
        skipped = dilated_alone and set(attributes.get("dilations", [1])) == {1}
        if node.op_type not in _PADDED or mode == b"NOTSET" or skipped:
            continue
        pads = _pads(node, mode, weights, shapes or {})
        if pads is not None:
            _set(node, pads=pads, auto_pad=None)


def pad_before_averages(model: onnx.ModelProto, shapes: Shapes) -> None:
    """Let a ``Pad`` do the padding of each ``AveragePool`` that has more of it on one side than on the other.

    An average that leaves the padding out is scaled by how much of its window is in the image.
    """
    opset = next(each.version for each in model.opset_import if each.domain in ("", "ai.onnx"))
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        attributes = attributes_of(node)
        pads = attributes.get("pads", [])
        half = len(pads) // 2
        size = shapes.get(node.input[0]) if node.input else None
        one_sided = node.op_type == "AveragePool" and list(pads[:half]) != list(pads[half:])
        if not one_sided or size is None or attributes.get("ceil_mode", 0):
            nodes.append(node)
            continue
        padded, output = f"{node.output[0]}_padded", node.output[0]
        nodes += [_pad_node(model.graph, node.input[0], padded, [0, 0, *pads[:half], 0, 0, *pads[half:]], opset), node]
        node.input[0] = padded
        _set(node, pads=None)
        if not attributes.get("count_include_pad", 0):
            node.output[0] = f"{output}_of_windows"
            scale = f"{output}_scale"
            model.graph.initializer.append(numpy_helper.from_array(_window_scale(attributes, size[2:].tolist()), scale))
            nodes.append(helper.make_node("Mul", [node.output[0], scale], [output], f"{node.name or output}_scaled"))
    replace(model.graph.node, nodes)


def attributes_of(node: onnx.NodeProto) -> dict[str, Any]:
    """The attributes of a node by name."""
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _pads(node: onnx.NodeProto, mode: bytes, weights: Mapping[str, Sequence[int]], shapes: Shapes) -> list[int] | None:
    """The amounts before each axis, then those behind each; None if they are not known."""
    attributes = attributes_of(node)
    kernel = attributes.get("kernel_shape") or (weights[node.input[1]][2:] if node.input[1] in weights else None)
    if kernel is None:
        return None
    ones = [1] * len(kernel)
    strides, dilations = attributes.get("strides", ones), attributes.get("dilations", ones)
    spans = [d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True)]
    if mode == b"VALID":
        totals = [0] * len(kernel)
    elif node.op_type == "ConvTranspose":
        extra = attributes.get("output_padding", [0] * len(kernel))
        totals = [max(0, span + more - stride) for span, more, stride in zip(spans, extra, strides, strict=True)]
    elif set(strides) == {1}:
        totals = [span - 1 for span in spans]
    elif node.input[0] in shapes:
        sizes = shapes[node.input[0]][2:].tolist()
        totals = [
            max(0, (-(-size // stride) - 1) * stride + span - size)
            for size, stride, span in zip(sizes, strides, spans, strict=True)
        ]
    else:
        return None
    less, more = [total // 2 for total in totals], [total - total // 2 for total in totals]
    return [*more, *less] if mode == b"SAME_LOWER" else [*less, *more]


def _set(node: onnx.NodeProto, **attributes: Any) -> None:
    """Replace attributes of a node; None removes one."""
    replace(node.attribute, [each for each in node.attribute if each.name not in attributes])
    made = {name: value for name, value in attributes.items() if value is not None}
    node.attribute.extend(helper.make_attribute(name, value) for name, value in made.items())


def _pad_node(graph: onnx.GraphProto, source: str, target: str, pads: Sequence[int], opset: int) -> onnx.NodeProto:
    """A ``Pad`` with zeros."""
    if opset < _PAD_BY_INPUT:
        return helper.make_node("Pad", [source], [target], target, mode="constant", pads=list(pads), value=0.0)
    amounts = f"{target}_by"
    graph.initializer.append(numpy_helper.from_array(np.array(pads, np.int64), amounts))
    return helper.make_node("Pad", [source, amounts], [target], target, mode="constant")


def _window_scale(attributes: Mapping[str, Any], sizes: Sequence[int]) -> npt.NDArray[np.float32]:
    """Window over image pixels in it, for each position of an average: (1, 1, H', W')."""
    kernel, pads = attributes["kernel_shape"], attributes["pads"]
    factors = []
    for axis, (size, k) in enumerate(zip(sizes, kernel, strict=True)):
        stride = attributes.get("strides", [1] * len(kernel))[axis]
        begin, end = pads[axis], pads[axis + len(kernel)]
        starts = np.arange((size + begin + end - k) // stride + 1) * stride - begin
        inside = np.minimum(starts + k, size) - np.maximum(starts, 0)
        factors.append(k / inside)
    return np.asarray(reduce(np.multiply.outer, factors), np.float32)[None, None]
