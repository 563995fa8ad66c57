"""A file in INT8 as a torch module of the same function, to attack and to evaluate.

Its values are the integers' own, so that it agrees with a runtime up to the rounding of a last bit, which may move a
value to the next integer. Rounding has no useful gradient; that of the identity is taken (straight through, Bengio et
al., 2013, arXiv:1308.3432), and none where a value is clipped.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from gdws.onnx_io.graph import gather_constants
from gdws.onnx_io.padding import pad_before_averages, pad_explicitly
from gdws.onnx_io.reading import fold_constants, shapes_for
from gdws.onnx_io.rebuild import rebuild

_OPSETS = (10, 13)


class QuantizedNetwork(nn.Module):
    """The network of ``content``, an ONNX file as :func:`~gdws.onnx_io.int8.quantize` writes it.

    ``content`` is what it is exported as. It runs in evaluation mode; its weights are the rounded ones, and stay.
    """

    def __init__(self, content: bytes, input_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.content = content
        self.network = rebuilt(onnx.load_from_string(content), input_shape).requires_grad_(False)
        self.eval()

    def forward(self, images: Tensor) -> Any:
        """The outputs for ``images`` (N, ...)."""
        return self.network(images)


def rebuilt(model: onnx.ModelProto, input_shape: tuple[int, ...]) -> nn.Module:
    """The module of ``model``, a network in INT8 that takes images of ``input_shape`` (C, H, W); it is changed.

    Raises :class:`~gdws.onnx_io.parity.CannotRebuild`, naming the node, if an operator has no counterpart.
    """
    _register()
    gather_constants(model)
    fold_constants(model)  # of the integers and scales of weights, the weights
    shapes = shapes_for(model, 1, input_shape)
    pad_explicitly(model, shapes)
    pad_before_averages(model, shapes)
    return rebuild(model, Path("the network in INT8"))


class _Quantize(nn.Module):
    """``QuantizeLinear`` with one scale; the integers are given as floats."""

    scale: Tensor
    zero_point: Tensor

    def __init__(self, scale: Tensor, zero_point: Tensor) -> None:
        super().__init__()
        limits = torch.iinfo(zero_point.dtype)
        self.least, self.greatest = float(limits.min), float(limits.max)
        self.register_buffer("scale", scale)
        self.register_buffer("zero_point", zero_point.to(scale.dtype))

    def forward(self, x: Tensor) -> Tensor:
        exact = x / self.scale
        return (exact + (exact.round() - exact).detach() + self.zero_point).clamp(self.least, self.greatest)


class _Dequantize(nn.Module):
    """``DequantizeLinear`` of what :class:`_Quantize` gives."""

    scale: Tensor
    zero_point: Tensor

    def __init__(self, scale: Tensor, zero_point: Tensor) -> None:
        super().__init__()
        self.register_buffer("scale", scale)
        self.register_buffer("zero_point", zero_point.to(scale.dtype))

    def forward(self, integers: Tensor) -> Tensor:
        return (integers - self.zero_point) * self.scale


@cache
def _register() -> None:
    """Let onnx2torch know both operators; it has neither."""
    from onnx2torch.node_converters.registry import add_converter
    from onnx2torch.utils.common import OnnxMapping, OperationConverterResult

    def convert(kind: type[_Quantize] | type[_Dequantize]) -> Any:
        def converter(node: Any, graph: Any) -> Any:
            tensor, scale, zero_point = node.input_values
            module = kind(*(graph.initializers[name].to_torch() for name in (scale, zero_point)))
            return OperationConverterResult(module, OnnxMapping(inputs=(tensor,), outputs=node.output_values))

        return converter

    for version in _OPSETS:
        add_converter(operation_type="QuantizeLinear", version=version)(convert(_Quantize))
        add_converter(operation_type="DequantizeLinear", version=version)(convert(_Dequantize))
