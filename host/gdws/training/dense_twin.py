"""Gradients of a GDWS network by way of the dense network of the same function.

A dense convolution takes a fraction of the time of its factors where all activations are kept for a backward pass. The
chain rule passes the gradient of its weight on to the factors that multiply to it.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from gdws.compression.layers import Conv, GDWSConv2d, to_dense


def dense_twin(network: nn.Module) -> nn.Module:
    """The dense network of the same function, with weights of its own that take gradients."""
    return to_dense(network).requires_grad_(True)


def pass_gradients(twin: nn.Module, network: nn.Module) -> None:
    """Add the gradients of ``twin``, made by :func:`dense_twin`, to those of the parameters of ``network``."""
    of_layers: set[int] = set()
    passed: set[int] = set()
    for name, layer in network.named_modules():
        if not isinstance(layer, GDWSConv2d):
            continue
        of_layers |= {id(parameter) for parameter in layer.parameters()}
        dense, weight = cast(Conv, twin.get_submodule(name)), layer.dense_weight()
        if id(dense.weight) not in passed and weight.requires_grad:  # layers may share their factors
            passed.add(id(dense.weight))
            torch.autograd.backward(weight, dense.weight.grad)
        if layer.bias is not None and dense.bias is not None and id(dense.bias) not in passed:
            passed.add(id(dense.bias))
            _add(layer.bias, dense.bias)
    for name, parameter in network.named_parameters():
        if id(parameter) not in of_layers:
            _add(parameter, twin.get_parameter(name))


def _add(parameter: Tensor, twin: Tensor) -> None:
    if twin.grad is not None:
        parameter.grad = twin.grad if parameter.grad is None else parameter.grad + twin.grad
