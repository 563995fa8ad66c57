"""Data-aware conversion as it is defined: every layer by passes of its own, with all patches unfolded.

Quadratic in depth and slow, and small enough to be seen to be right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from gdws.algorithms.fit_layer import FittedLayer, LayerProblem
from gdws.algorithms.refit import Moments
from gdws.algorithms.spectrum import Ints
from gdws.compression.calibration.gradient_norms import Call
from gdws.compression.fitting import Observation
from gdws.compression.fitting.running import replace_weight, with_biases
from gdws.compression.fitting.walk import HELD_OUT
from gdws.compression.surgery import Layer
from gdws_contract.plan import Plan

Groups = Mapping[str, Sequence[Layer]]


def fit(
    model: nn.Module, plan: Plan, layers: Sequence[Layer], images: Tensor, seen: Mapping[str, Observation]
) -> tuple[nn.Module, dict[str, FittedLayer]]:
    """The converted network as a dense one, and what was found for each weight."""
    running, found = with_biases(model, layers), {}
    ranks = {layer.name: layer.ranks or () for layer in plan.layers}
    for name, group in groups(model, layers, images[:1]).items():
        found[name] = problem(model, running, group, images, seen[name].outputs).fit(ranks[name], 20)
        replace_weight(running, group, found[name].factors, found[name].bias)
    return running, found


def sensitivities(
    model: nn.Module,
    layers: Sequence[Layer],
    images: Tensor,
    seen: Mapping[str, Observation],
    candidates: Mapping[str, Sequence[Ints]],
) -> dict[str, list[float]]:
    """What :func:`gdws.compression.fitting.sensitivities` returns, from all of ``images``."""
    found = {}
    for name, group in groups(model, layers, images[:1]).items():
        wanted = problem(model, model, group, images, seen[name].outputs)
        found[name] = [wanted.fit(ranks.tolist(), 5).change for ranks in candidates[name]]
    return found


def groups(model: nn.Module, layers: Sequence[Layer], sample: Tensor) -> dict[str, list[Layer]]:
    """The layers by the name of the one that holds their weight, in the order in which they first run."""
    order: list[Layer] = []
    handles = [layer.module.register_forward_hook(lambda *_, layer=layer: order.append(layer)) for layer in layers]
    with torch.no_grad():
        model(sample)
    for handle in handles:
        handle.remove()
    found: dict[str, list[Layer]] = {}
    for layer in dict.fromkeys(order):
        found.setdefault(layer.shares or layer.name, []).append(layer)
    return found


def problem(
    model: nn.Module, running: nn.Module, group: Sequence[Layer], images: Tensor, outputs: Tensor
) -> LayerProblem:
    """What the weight of ``group`` is fitted to."""
    held_out = torch.arange(len(images)) % HELD_OUT == 0
    parts = (moments(model, running, group, images[part]) for part in (~held_out, held_out))
    M, C, Kh, Kw = group[0].weight_shape
    weight = model.get_submodule(group[0].name).weight.detach().double().flatten(1).numpy()
    return LayerProblem.of(weight, (M, C, Kh, Kw), tuple(parts), outputs)


def moments(model: nn.Module, running: nn.Module, group: Sequence[Layer], images: Tensor) -> Moments:
    """Of all patches in ``running`` and all outputs without bias in ``model``, at once."""
    met, wanted = calls(running, group, images), calls(model, group, images)
    x = torch.cat([patches(conv, taken, given) for conv, taken, given in met], 1).double()
    y = torch.cat([by_position(_without_bias(conv, given)) for conv, _, given in wanted], 1).double()
    n = x.shape[1]
    xx, yx, yy = x @ x.T / n, y @ x.T / n, float(y.square().sum() / n)
    return Moments(xx=xx.numpy(), yx=yx.numpy(), yy=yy, x=x.mean(1).numpy(), y=y.mean(1).numpy(), count=n)


def calls(network: nn.Module, group: Sequence[Layer], images: Tensor) -> list[tuple[nn.Conv2d, Tensor, Tensor]]:
    """The calls of the layers of ``group``, with what they take and give."""
    seen: list[tuple[nn.Conv2d, Tensor, Tensor]] = []

    def note(conv: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Tensor], output: Tensor) -> None:
        seen.append((cast(nn.Conv2d, conv), (args[0] if args else kwargs["input"]).clone(), output.clone()))

    handles = [network.get_submodule(layer.name).register_forward_hook(note, with_kwargs=True) for layer in group]
    with torch.no_grad():
        network(images)
    for handle in handles:
        handle.remove()
    return seen


def patches(convolution: nn.Conv2d, x: Tensor, output: Tensor) -> Tensor:
    """The patches that ``x`` (B, C, H, W) is cut into, as columns (C*Kh*Kw, B*P)."""
    call = Call.of(convolution, x, output)
    unfolded = functional.unfold(call.padded, call.kernel_size, call.dilation, 0, call.stride)
    return unfolded.transpose(0, 1).flatten(1)


def by_position(output: Tensor) -> Tensor:
    """(B, M, H', W') -> (M, B*P), in the order of :func:`patches`."""
    return output.transpose(0, 1).flatten(1)


def _without_bias(conv: nn.Conv2d, output: Tensor) -> Tensor:
    return output if conv.bias is None else output - conv.bias.detach()[:, None, None]
