"""A network in INT8 whose weights descend: rounded anew in each pass, and written back into its file.

Gradients pass straight through the rounding, as in :mod:`gdws.onnx_io.int8.twin`. The scale of a weight follows its
largest value in each output channel; the grids of activations stay.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from gdws.errors import ModelError
from gdws.onnx_io.int8.insertion import GREATEST, bias_integers, rounded, weight_scales
from gdws.onnx_io.int8.twin import rebuilt
from gdws.onnx_io.int8.view import LAYERS, View, attribute, output_axis, set_constant

Floats = npt.NDArray[np.float32]


class NetworkInTraining(nn.Module):
    """The network of ``content``, an ONNX file as :func:`~gdws.onnx_io.int8.quantize` writes it, in training.

    Weights and biases of convolutions and linear layers are parameters that take gradients, those that stay in
    floating point included; nothing else is. ``input_shape`` is that of one image, (C, H, W).

    Raises :class:`~gdws.errors.ModelError` if there is no such layer.
    """

    def __init__(self, content: bytes, input_shape: tuple[int, ...]) -> None:
        super().__init__()
        self._content = content
        model = onnx.load_from_string(content)
        self._layers = list(_layers(model))
        if not self._layers:
            raise ModelError("the network has no layer that can be trained", hint="Conv and Gemm layers can be")
        for layer in self._layers:
            model.graph.node[layer.index].name = layer.module
        self.network = rebuilt(model, input_shape).requires_grad_(False)
        shared: dict[str, nn.Parameter] = {}
        for layer in self._layers:
            module = self.network.get_submodule(layer.module)
            for name, constant in (("weight", layer.weight), ("bias", layer.bias)):
                if constant is not None:  # layers may share it
                    setattr(module, name, shared.setdefault(constant.name, getattr(module, name).requires_grad_(True)))
            if layer.weight.scale is not None:
                parametrize.register_parametrization(module, "weight", _OnGrid())

    def forward(self, images: Tensor) -> Any:
        """The outputs for ``images`` (N, C, H, W)."""
        return self.network(images)

    def content(self) -> bytes:
        """The file with the weights as they are, those of quantised layers in integers on scales of their own.

        Raises :class:`~gdws.errors.ModelError` if a bias is out of the reach of its integers.
        """
        model = onnx.load_from_string(self._content)
        view = View(model)
        for layer in self._layers:
            weight, bias = self._arrays(layer)
            scale = None
            if layer.weight.scale is None:
                set_constant(model, layer.weight.name, weight)
            else:
                scale = weight_scales(weight, layer.axis)
                set_constant(model, layer.weight.name, rounded(weight, scale, layer.axis))
                set_constant(model, layer.weight.scale, scale)
            if layer.bias is None or bias is None:
                continue
            if layer.bias.scale is None:
                set_constant(model, layer.bias.name, bias)
                continue
            assert scale is not None  # integer biases are on the grid of products of integers
            product = scale * view.constants[view.producer[model.graph.node[layer.index].input[0]].input[1]]
            integers = bias_integers(bias, product)
            if integers is None:
                raise ModelError(
                    f"a bias of {layer.bias.name!r} cannot be written in integers", hint="lower the learning rate"
                )
            set_constant(model, layer.bias.name, integers)
            set_constant(model, layer.bias.scale, product)
        onnx.checker.check_model(model, full_check=True)
        content: bytes = model.SerializeToString(deterministic=True)
        return content

    def _arrays(self, layer: _Layer) -> tuple[Floats, Floats | None]:
        """Weight and bias of a layer in floating point, as the file has them."""
        found = dict(self.network.get_submodule(layer.module).named_parameters())
        weight = found["weight" if layer.weight.scale is None else "parametrizations.weight.original"]
        bias = found.get("bias")
        array = weight.detach().cpu().numpy()
        return (array.T if layer.is_transposed else array), None if bias is None else bias.detach().cpu().numpy()


@dataclass(frozen=True)
class _Constant:
    """A constant of a file: values, or integers with the tensor of their ``scale``."""

    name: str
    scale: str | None


@dataclass(frozen=True)
class _Layer:
    """A layer of a file: the ``index`` of its node, what holds its numbers, and the ``module`` that it becomes."""

    index: int
    weight: _Constant
    bias: _Constant | None
    axis: int
    is_transposed: bool

    @property
    def module(self) -> str:
        return f"layer_{self.index}"


class _OnGrid(nn.Module):
    """Weights rounded to the integers of their channel, the first axis."""

    def forward(self, weight: Tensor) -> Tensor:
        step = weight.detach().abs().flatten(1).amax(dim=1) / GREATEST
        scale = torch.where(step > torch.finfo(step.dtype).tiny, step, 1.0).reshape(-1, *[1] * (weight.ndim - 1))
        exact = weight / scale
        return (exact + (exact.round() - exact).detach()) * scale


def _layers(model: onnx.ModelProto) -> Iterator[_Layer]:
    """The layers that become modules with a weight of their own, and whose bias, if any, is constant as well."""
    view = View(model)
    for index, node in enumerate(view.nodes):
        if node.op_type not in LAYERS - {"MatMul"} or _has_factors(node):
            continue
        weight = _constant(view, node.input[1])
        biased = len(node.input) > 2 and bool(node.input[2])
        bias = _constant(view, node.input[2]) if biased else None
        if weight is None or (biased and (bias is None or view.constants[bias.name].ndim != 1)):
            continue
        is_transposed = node.op_type == "Gemm" and not attribute(node, "transB", 0)
        yield _Layer(index, weight, bias, output_axis(node), is_transposed)


def _has_factors(node: onnx.NodeProto) -> bool:
    """Whether a ``Gemm`` computes more than a product and a sum."""
    is_plain = attribute(node, "alpha", 1.0) == attribute(node, "beta", 1.0) == 1 and not attribute(node, "transA", 0)
    return node.op_type == "Gemm" and not is_plain


def _constant(view: View, tensor: str) -> _Constant | None:
    if tensor in view.constants:
        return _Constant(tensor, None)
    maker = view.producer.get(tensor)
    if maker is None or maker.op_type != "DequantizeLinear" or maker.input[0] not in view.constants:
        return None
    return _Constant(maker.input[0], maker.input[1])
