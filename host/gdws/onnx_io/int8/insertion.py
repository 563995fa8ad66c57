"""Writing of integers, scales and the nodes that use them into a graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from gdws.onnx_io.graph import drop_unused_initializers, replace
from gdws.onnx_io.int8.points import Points, Scheme
from gdws.onnx_io.int8.ranges import Range
from gdws.onnx_io.int8.view import View, output_axis, set_constant

#: Of INT8, which stays symmetric: -128 is not used.
GREATEST = 127
_UNSIGNED = 255
_INT32 = 2**31 - 1


@dataclass(frozen=True)
class Grid:
    """The numbers that 8 bits stand for: ``scale * (q - zero_point)``."""

    scale: np.float32
    zero_point: np.int8 | np.uint8

    @classmethod
    def over(cls, kept: Range, scheme: Scheme) -> Grid:
        """The grid that covers ``kept``. A range of nothing but 0 has scale 1.

        With free zero points it is unsigned: ONNX Runtime joins fewer nodes of signed ones on x86, whose kernels it
        must convert them for.
        """
        low, high = min(kept.low, 0.0), max(kept.high, 0.0)
        if scheme == "symmetric":
            return cls(_scale(max(-low, high) / GREATEST), np.int8(0))
        scale = _scale((high - low) / _UNSIGNED)
        return cls(scale, np.uint8(np.clip(round(-low / float(scale)), 0, _UNSIGNED)))


def insert(model: onnx.ModelProto, points: Points, ranges: Mapping[str, Range], scheme: Scheme) -> None:
    """Quantise ``model`` in place at ``points``; ``ranges`` has that of each tensor that gives a scale.

    Weights get a scale for each output channel. With free zero points biases become INT32 on the grid of the products,
    as ONNX Runtime's integer kernels take them; TensorRT reads them in floating point.
    """
    grids = {tensor: Grid.over(ranges[source], scheme) for tensor, source in points.tensors.items()}
    _insert_weights(model, points, grids, integer_bias=scheme == "asymmetric")
    _insert_activations(model, grids)
    drop_unused_initializers(model.graph)


def _insert_weights(model: onnx.ModelProto, points: Points, grids: Mapping[str, Grid], *, integer_bias: bool) -> None:
    view = View(model)
    nodes: list[onnx.NodeProto] = []
    done: set[str] = set()
    for output in points.layers:
        layer = view.producer[output]
        weight, axis = layer.input[1], output_axis(layer)
        scale = weight_scales(view.constants[weight], axis)
        if weight not in done:
            done.add(weight)
            nodes.append(_dequantized(model, weight, rounded(view.constants[weight], scale, axis), scale, axis))
        layer.input[1] = f"{weight}_dequantized"
        if not (integer_bias and len(layer.input) > 2 and layer.input[2]):
            continue
        bias, product = layer.input[2], scale * grids[layer.input[0]].scale
        if (integers := bias_integers(view.constants[bias], product)) is not None:
            name = f"{output}_bias"  # of the layer: the grid is that of its input
            nodes.append(_dequantized(model, name, integers, product, 0))
            layer.input[2] = f"{name}_dequantized"
    replace(model.graph.node, [*nodes, *model.graph.node])


def _dequantized(
    model: onnx.ModelProto, name: str, integers: npt.NDArray[np.integer], scale: npt.NDArray[np.float32], axis: int
) -> onnx.NodeProto:
    set_constant(model, f"{name}_quantized", integers)
    set_constant(model, f"{name}_scale", scale)
    set_constant(model, f"{name}_zero_point", np.zeros(scale.shape, integers.dtype))
    inputs = [f"{name}_quantized", f"{name}_scale", f"{name}_zero_point"]
    return helper.make_node("DequantizeLinear", inputs, [f"{name}_dequantized"], f"{name}/DequantizeLinear", axis=axis)


def _insert_activations(model: onnx.ModelProto, grids: Mapping[str, Grid]) -> None:
    """Put a pair of nodes after the maker of each tensor, and give its result to all users of the tensor."""
    made: dict[str, list[onnx.NodeProto]] = {}
    for tensor, grid in grids.items():
        set_constant(model, f"{tensor}_scale", np.asarray(grid.scale))
        set_constant(model, f"{tensor}_zero_point", np.asarray(grid.zero_point))
        grid_names = [f"{tensor}_scale", f"{tensor}_zero_point"]
        integers, result = f"{tensor}_quantized", f"{tensor}_dequantized"
        made[tensor] = [
            helper.make_node("QuantizeLinear", [tensor, *grid_names], [integers], f"{tensor}/QuantizeLinear"),
            helper.make_node("DequantizeLinear", [integers, *grid_names], [result], f"{tensor}/DequantizeLinear"),
        ]
    ordered = [node for value in model.graph.input for node in made.get(value.name, ())]
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            if name in made:
                node.input[place] = f"{name}_dequantized"
        ordered += [node, *(each for name in node.output for each in made.get(name, ()))]
    replace(model.graph.node, ordered)


def bias_integers(bias: npt.NDArray[np.float32], scale: npt.NDArray[np.float32]) -> npt.NDArray[np.int32] | None:
    """``bias`` (C,) in integers of ``scale`` (C,), a layer's products; None where they are too far below its bias."""
    integers = np.rint(bias.astype(np.float64) / scale)
    return integers.astype(np.int32) if np.abs(integers).max() <= _INT32 else None


def weight_scales(weight: npt.NDArray[np.float32], axis: int) -> npt.NDArray[np.float32]:
    """The scale of each output channel, along ``axis`` of a layer's ``weight``, (C,): the largest value is 127."""
    others = tuple(each for each in range(weight.ndim) if each != axis)
    return np.asarray([_scale(largest / GREATEST) for largest in np.abs(weight).max(axis=others)], np.float32)


def rounded(weight: npt.NDArray[np.float32], scale: npt.NDArray[np.float32], axis: int) -> npt.NDArray[np.int8]:
    """``weight`` in integers of ``scale``, (C,) along ``axis``."""
    shape = [1] * weight.ndim
    shape[axis] = -1
    integers: npt.NDArray[np.int8] = np.rint(weight / scale.reshape(shape)).clip(-GREATEST, GREATEST).astype(np.int8)
    return integers


def _scale(step: float) -> np.float32:
    """``step`` where it is a number that float32 divides by, else 1: all values of the tensor are 0."""
    return np.float32(step) if step > np.finfo(np.float32).tiny else np.float32(1)
