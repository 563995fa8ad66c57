"""Normalisation of the factors of GDWS layers during training."""

from __future__ import annotations

import torch
from torch import nn

from gdws.compression.layers import GDWSConv2d


@torch.no_grad()
def balance(network: nn.Module) -> None:
    """Scale every depthwise filter of ``network`` to norm 1, in place, and its pointwise weights inversely.

    A filter d and its column p in the pointwise convolution count by their product alone: (s d, p / s) is the same
    function for any s. A step of an optimiser is not the same: the gradient of p grows with the norm of d and that of
    d with the norm of p, so that unbalanced factors let the product take steps of very different size, and may diverge
    at a rate at which balanced ones learn. The function stays the same up to rounding. A filter of zeros stays.
    """
    done: set[int] = set()
    for layer in network.modules():
        if isinstance(layer, GDWSConv2d) and (filters := layer.depthwise_convolutions()):
            weights = [convolution.weight for convolution in filters]
            if id(weights[0]) not in done:  # layers may share their factors
                done.add(id(weights[0]))
                _balance(weights, layer.pointwise.weight)  # type: ignore[arg-type]


def _balance(filters: list[nn.Parameter], pointwise: nn.Parameter) -> None:
    """``filters`` (g, 1, Kh, Kw) one after the other belong to the columns of ``pointwise`` (M, G, 1, 1)."""
    norms = [weight.flatten(1).norm(dim=1) for weight in filters]
    scales = [torch.where(norm > 0, norm, torch.ones_like(norm)) for norm in norms]
    for weight, scale in zip(filters, scales, strict=True):
        weight.div_(scale[:, None, None, None])
    pointwise.mul_(torch.cat(scales)[None, :, None, None])
