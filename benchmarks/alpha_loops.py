"""Alphas (Equation 8) by loops over samples and classes, to compare this package with.

Two loops over one sample and one class at a time: :func:`loop` takes gradients by the wanted weights only and the
norms of all channels at once; :func:`published_loop` takes gradients by all weights and the norms channel by channel,
as the procedure that was published with the paper does.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np
import torch
from torch import Tensor, nn

from gdws.networks import zoo as nets

Alphas = dict[str, np.ndarray]


def network(classes: int = 10) -> nn.Module:
    """PreAct-ResNet-18 with weights of a fixed seed, in evaluation mode."""
    torch.manual_seed(0)
    return nets.build("preact-resnet18", classes=classes).eval()


def differences(model: nn.Module, x: Tensor, most: int | None = None) -> Iterator[Tensor]:
    """The class differences of each sample, one at a time; with ``most`` the first so many of each."""
    for sample in x:
        logits = model(sample[None])[0]
        predicted = int(logits.argmax())
        every = (logits[j] - logits[predicted] for j in range(len(logits)) if j != predicted)
        yield from islice(every, most)


def loop(model: nn.Module, x: Tensor, names: list[str]) -> Alphas:
    """Alphas by layer name, with the norms of all channels at once."""
    weights = [model.get_submodule(name).weight for name in names]
    sums = [torch.zeros(weight.shape[1], dtype=torch.float64) for weight in weights]
    for delta in differences(model, x):
        gradients = torch.autograd.grad(delta, weights, retain_graph=True)
        for total, gradient in zip(sums, gradients, strict=True):
            total += gradient.square().sum(dim=(0, 2, 3)) / (2 * float(delta.detach()) ** 2)
    return {
        name: (total / (len(x) * weight[:, 0].numel())).numpy()
        for name, total, weight in zip(names, sums, weights, strict=True)
    }


def published_loop(model: nn.Module, x: Tensor, names: list[str], most: int | None = None) -> Alphas:
    """Alphas by layer name, with the norms channel by channel; with ``most`` a part of their sums, for its time."""
    weights = {name: model.get_submodule(name).weight for name in names}
    sums = {name: torch.zeros(weight.shape[1], dtype=weight.dtype) for name, weight in weights.items()}
    for delta in differences(model, x, most):
        model.zero_grad()
        delta.backward(retain_graph=True)
        denominator = 2 * delta.detach() ** 2
        for name, weight in weights.items():
            M, _, Kh, Kw = weight.shape
            matrices = weight.grad.flatten(1).split(Kh * Kw, dim=1)
            sums[name] += torch.stack([(matrix**2).sum() / (denominator * M * Kh * Kw) for matrix in matrices])
    return {name: (total / len(x)).numpy() for name, total in sums.items()}
