"""The running network: a dense copy whose weights are replaced by those of GDWS layers, one by one."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import cast

import torch
from torch import nn

from gdws.algorithms.spectrum import Factors, Floats
from gdws.compression.layers import Conv
from gdws.compression.surgery import Layer


def with_biases(model: nn.Module, layers: Iterable[Layer]) -> nn.Module:
    """A copy of ``model`` in which each of ``layers`` has its own bias."""
    running = copy.deepcopy(model)
    for layer in layers:
        conv = cast(Conv, running.get_submodule(layer.name))
        bias = torch.zeros(conv.out_channels) if conv.bias is None else conv.bias.detach().clone()
        conv.bias = nn.Parameter(bias.to(conv.weight), requires_grad=conv.weight.requires_grad)
    return running


@torch.no_grad()
def replace_weight(running: nn.Module, layers: Sequence[Layer], factors: Factors, bias: Floats) -> None:
    """Replace the weight that ``layers`` of ``running`` share by the dense equivalent of the factors.

    ``bias`` (M,) is added to each layer's own.
    """
    convolutions = [cast(Conv, running.get_submodule(layer.name)) for layer in layers]
    components = factors.pointwise.T[:, :, None, None] * factors.depthwise[:, None]  # (G, M, Kh, Kw)
    M, C = convolutions[0].weight.shape[:2]
    dense = torch.zeros(C, M, *components.shape[2:], dtype=torch.float64, device=convolutions[0].weight.device)
    dense.index_add_(0, torch.from_numpy(factors.channels), torch.from_numpy(components).to(dense))
    for conv in convolutions:
        conv.weight.copy_(dense.transpose(0, 1).reshape(conv.weight.shape))
        cast(nn.Parameter, conv.bias).add_(torch.from_numpy(bias).to(conv.weight))
