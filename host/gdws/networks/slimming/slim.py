"""Removes the unused channels of a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gdws._util.copies import copied
from gdws._util.modes import evaluation_mode
from gdws._util.outputs import relative_difference, run, tensors_in
from gdws.compression.eligibility import require_weights
from gdws.errors import ModelError
from gdws.networks.slimming.analysis import Analysis, analyse
from gdws.networks.slimming.channels import Channels

#: Outputs of both networks may differ by this, relative to the largest.
_TOLERANCE = 1e-3
_COMPARED = 4


@dataclass(frozen=True, eq=False)
class Slimmed:
    """``module`` is equivalent to the original; ``removed`` counts the removed output channels of its layers, by name.

    ``parameters`` are the numbers before and after.
    """

    module: nn.Module
    removed: dict[str, int]
    parameters: tuple[int, int]


def slim(network: nn.Module, input_shape: Sequence[int]) -> Slimmed:
    """Return a copy of ``network`` without the channels that its output does not depend on.

    ``input_shape`` is (C, H, W). The network must be dense and consist of torch's plain layers; unknown layers keep
    their channels. It is not changed. At least one channel of each layer is kept.

    Raises :class:`~gdws.errors.ModelError` if the network cannot be traced, does not run on such images, or would
    compute something else.
    """
    require_weights(network)
    narrow = copied(network)
    images = _images(narrow, input_shape)
    with evaluation_mode(narrow):
        expected = _run(narrow, images)
        found = analyse(narrow, images[:1])
        _narrow(found, _live(found))
        _compare(_run(narrow, images), expected)
    sizes = {name: module for name, module in narrow.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)}
    before = dict(network.named_modules())
    lost = {name: len(before[name].weight) - len(module.weight) for name, module in sizes.items()}
    return Slimmed(
        narrow,
        {name: count for name, count in lost.items() if count},
        (_parameters(network), _parameters(narrow)),
    )


def _live(found: Analysis) -> Tensor:
    """Which groups of channels stay, by number: those that the output depends on, and one of each layer."""
    roots = found.groups.roots(torch.arange(len(found.groups)))
    for reader in found.readers:
        reader.inputs, reader.outputs = _by_root(reader.inputs, roots), _by_root(reader.outputs, roots)
    live = found.groups.pinned()
    while True:
        before = live.clone()
        for reader in reversed(found.readers):
            live[reader.inputs.groups[reader.needs(live)]] = True
            if not bool(live[reader.outputs.groups].any()):
                live[reader.outputs.groups[0]] = True
        if torch.equal(before, live):
            return live[roots]


def _by_root(channels: Channels, roots: Tensor) -> Channels:
    return Channels(roots[channels.groups], channels.constants)


def _narrow(found: Analysis, live: Tensor) -> None:
    """Take the channels that are not ``live`` out of the layers."""
    changes = [(reader, *reader.narrowed(live)) for reader in found.readers]
    for reader, weight, gain in changes:
        layer, made = reader.layer, live[reader.outputs.groups]
        bias = None if layer.bias is None else layer.bias.detach()[made.to(layer.bias.device)]
        if bool((gain != 0).any()):
            bias = gain.to(layer.weight) + (0 if bias is None else bias)
        layer.register_parameter("weight", _parameter(weight.to(layer.weight), layer.weight))
        layer.register_parameter("bias", None if bias is None else _parameter(bias, layer.weight))
        if isinstance(layer, nn.Conv2d):
            layer.out_channels, layer.in_channels = weight.shape[:2]
        else:
            layer.out_features, layer.in_features = weight.shape
    for passing, given in found.passing:
        kept = live[given.groups]
        for name, parameter in passing.named_parameters():
            passing.register_parameter(name, _parameter(parameter.detach()[kept.to(parameter.device)], parameter))
        for name, statistic in passing.named_buffers():
            if statistic.ndim > 0:  # BN counts its batches, too
                passing.register_buffer(name, statistic[kept.to(statistic.device)])
        if isinstance(passing, nn.BatchNorm2d):
            passing.num_features = int(kept.sum())
        else:
            passing.in_channels = passing.out_channels = passing.groups = int(kept.sum())


def _parameter(value: Tensor, like: Tensor) -> nn.Parameter:
    return nn.Parameter(value.contiguous(), requires_grad=like.requires_grad)


def _images(network: nn.Module, shape: Sequence[int]) -> Tensor:
    like = next((p for p in network.parameters() if p.is_floating_point()), torch.empty(0))
    return torch.rand(_COMPARED, *shape, generator=torch.Generator().manual_seed(0)).to(like)


@torch.no_grad()
def _run(network: nn.Module, images: Tensor) -> list[Tensor]:
    return tensors_in(run(network, images))


def _compare(found: Sequence[Tensor], expected: Sequence[Tensor]) -> None:
    worst = relative_difference(found, expected)
    if not worst <= _TOLERANCE:  # holds for NaN as well
        raise ModelError(
            f"removing unused channels changes the network's outputs by {worst:.1%}",
            hint="leave out --slim",
        )


def _parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
