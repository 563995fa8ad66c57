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
from gdws.onnx_io.int8.view import View
from gdws.onnx_io.padding import pad_before_averages, pad_explicitly
from gdws.onnx_io.parity import CannotRebuild
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
    _require_pairs(model)
    return rebuild(model, Path("the network in INT8"))


class _Rounding(nn.Module):
    """``QuantizeLinear`` and the ``DequantizeLinear`` after it, with one scale: the values that the integers stand for.

    Both in one take a third of the passes over memory that their nodes would, forward and backward.
    """

    scale: Tensor

    def __init__(self, scale: Tensor, zero_point: Tensor) -> None:
        super().__init__()
        limits = torch.iinfo(zero_point.dtype)
        self.least, self.greatest = (float(limit - int(zero_point)) for limit in (limits.min, limits.max))
        self.register_buffer("scale", scale)

    def forward(self, x: Tensor) -> Tensor:
        rounded: Tensor = _StraightThrough.apply(x, self.scale, self.least, self.greatest)
        return rounded


class _StraightThrough(torch.autograd.Function):
    """The nearest of ``scale`` times the integers from ``least`` to ``greatest``; the gradient is that of clipping."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, least: float, greatest: float) -> Tensor:
        integers = (x / scale).round_()
        ctx.save_for_backward(integers)
        ctx.limits = least, greatest
        return integers.clamp(least, greatest).mul_(scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (integers,) = ctx.saved_tensors
        least, greatest = ctx.limits  # which are not clipped; the gradient of this operator is 0 there as well
        gradient = torch.ops.aten.hardtanh_backward(gradients[0], integers, least - 0.5, greatest + 0.5)
        return gradient, None, None, None


def _require_pairs(model: onnx.ModelProto) -> None:
    """Raise :class:`~gdws.onnx_io.parity.CannotRebuild` unless both operators are in pairs on the same grid."""
    view = View(model)
    for node in view.nodes:
        if node.op_type == "DequantizeLinear":
            maker = view.producer.get(node.input[0])
            if maker is None or maker.op_type != "QuantizeLinear" or maker.input[1:] != node.input[1:]:
                raise CannotRebuild(f"{node.name!r} does not follow a QuantizeLinear node of the same scale")


@cache
def _register() -> None:
    """Let onnx2torch know both operators; it has neither."""
    from onnx2torch.node_converters.registry import add_converter
    from onnx2torch.utils.common import OnnxMapping, OperationConverterResult

    def rounding(node: Any, graph: Any) -> Any:
        tensor, scale, zero_point = node.input_values
        module = _Rounding(*(graph.initializers[name].to_torch() for name in (scale, zero_point)))
        return OperationConverterResult(module, OnnxMapping(inputs=(tensor,), outputs=node.output_values))

    def nothing(node: Any, graph: Any) -> Any:
        mapping = OnnxMapping(inputs=(node.input_values[0],), outputs=node.output_values)
        return OperationConverterResult(nn.Identity(), mapping)

    for version in _OPSETS:
        add_converter(operation_type="QuantizeLinear", version=version)(rounding)
        add_converter(operation_type="DequantizeLinear", version=version)(nothing)
