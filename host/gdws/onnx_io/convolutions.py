"""The convolutions of an ONNX graph as torch layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import onnx
import torch
from onnx import TensorProto, numpy_helper
from torch import nn

from gdws.onnx_io.graph import gather_constants
from gdws.onnx_io.padding import attributes_of, pad_explicitly
from gdws.onnx_io.reading import shapes_for
from gdws.onnx_io.run import Array

Convolution: TypeAlias = nn.Conv1d | nn.Conv2d | nn.Conv3d

_BY_AXES: Mapping[int, type[Convolution]] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


@dataclass(frozen=True)
class Geometry:
    """How a convolution moves over its input; ``inside`` is the padding of its own, ``outside`` that before it."""

    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    inside: tuple[int, ...]
    outside: tuple[int, ...]

    def layer(
        self, node: onnx.NodeProto, constants: Mapping[str, Array], shared: dict[str, nn.Parameter]
    ) -> Convolution:
        """The torch layer of ``node``; weights that several nodes use are one parameter, kept in ``shared``."""
        weight, *bias = (
            shared.setdefault(name, nn.Parameter(torch.from_numpy(constants[name].copy()), requires_grad=False))
            for name in node.input[1:]
            if name
        )
        kind = _BY_AXES[weight.ndim - 2]
        geometry: dict[str, Any] = {"stride": self.stride, "dilation": self.dilation, "padding": self.inside}
        layer = kind(
            weight.shape[1] * self.groups,
            weight.shape[0],
            tuple(weight.shape[2:]),  # type: ignore[arg-type]
            groups=self.groups,
            bias=bool(bias),
            device="meta",
            **geometry,
        )
        layer.weight = weight
        layer.bias = bias[0] if bias else None
        return layer


def convolutions(model: onnx.ModelProto, batch: int, shape: Sequence[int]) -> Iterator[tuple[int, Geometry]]:
    """Each ``Conv`` of the graph itself with constant weights in float32, by its place."""
    explicit = onnx.ModelProto()
    explicit.CopyFrom(model)
    gather_constants(explicit)
    pad_explicitly(explicit, shapes_for(explicit, batch, shape))
    by_output = {node.output[0]: node for node in explicit.graph.node if node.op_type == "Conv"}
    constants = {name: array for name, array in constants_of(model).items() if array.dtype == np.float32}
    for index, node in enumerate(model.graph.node):
        given = [name for name in node.input[1:] if name]
        if node.op_type != "Conv" or node.domain not in ("", "ai.onnx") or not all(name in constants for name in given):
            continue
        attributes = attributes_of(by_output[node.output[0]])
        axes = constants[given[0]].ndim - 2
        if axes in _BY_AXES and attributes.get("auto_pad", b"NOTSET") == b"NOTSET":
            yield index, _geometry(attributes, axes)


def _geometry(attributes: Mapping[str, Any], axes: int) -> Geometry:
    ones = [1] * axes
    pads = list(attributes.get("pads", [0] * 2 * axes))
    begin, end = pads[:axes], pads[axes:]
    even = begin == end
    outside = [] if even else [amount for pair in zip(begin[::-1], end[::-1], strict=True) for amount in pair]
    return Geometry(
        stride=tuple(attributes.get("strides", ones)),
        dilation=tuple(attributes.get("dilations", ones)),
        groups=int(attributes.get("group", 1)),
        inside=tuple(begin if even else [0] * axes),
        outside=tuple(outside),
    )


def constants_of(model: onnx.ModelProto) -> dict[str, Array]:
    """Initialisers and tensors of ``Constant`` nodes by name."""
    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for node in model.graph.node:
        value = attributes_of(node).get("value") if node.op_type == "Constant" else None
        if isinstance(value, TensorProto):
            found[node.output[0]] = numpy_helper.to_array(value)
    return found
