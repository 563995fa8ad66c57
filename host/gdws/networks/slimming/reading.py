"""Layers that mix channels: which inputs they need, and how constant inputs are folded."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gdws.networks.slimming.channels import Channels

Mixing = nn.Conv2d | nn.Linear


@dataclass(eq=False)
class Reader:
    """A convolution or linear layer with the channels that it reads and makes, C and M of them.

    ``stand_in`` is the constant channel that stays for all others, if the layer pads with zeros and needs one.
    """

    layer: Mixing
    inputs: Channels
    outputs: Channels
    stand_in: int | None = None

    def needs(self, live: Tensor) -> Tensor:
        """Which inputs (C,) the outputs of ``live`` groups need; ``live`` is bool by group."""
        made, kept, constants = live[self.outputs.groups], live[self.inputs.groups], self.inputs.constants
        read = (kernels(self.layer)[made] != 0).any(dim=2).any(dim=0)
        known = ~constants.isnan()
        if not pads_with_zeros(self.layer):
            return read & ~known
        edged = read & known & (constants != 0)
        if bool((edged & ~kept).any()) and self.stand_in is None:
            # One that stays anyway will do; else the largest, by which the others are divided.
            there = edged & kept
            candidates = there if bool(there.any()) else edged
            self.stand_in = int(constants.abs().masked_fill(~candidates, -1.0).argmax())
        needed = read & ~known
        if self.stand_in is not None:
            needed[self.stand_in] = True
        return needed

    def narrowed(self, live: Tensor) -> tuple[Tensor, Tensor]:
        """The weight of the narrow layer, and what its bias gains, (M',), in float64."""
        made, kept, constants = live[self.outputs.groups], live[self.inputs.groups], self.inputs.constants
        weight = kernels(self.layer)
        absorbed = constants.nan_to_num(0.0).masked_fill(kept, 0.0)
        gain = torch.zeros(len(weight), dtype=torch.float64)
        if not pads_with_zeros(self.layer):
            gain = weight.sum(dim=2) @ absorbed
        elif self.stand_in is not None:
            share = absorbed / constants[self.stand_in]
            weight[:, self.stand_in] += torch.einsum("mck,c->mk", weight, share)
        shape = (int(made.sum()), int(kept.sum()), *self.layer.weight.shape[2:])
        return weight[made][:, kept].reshape(shape), gain[made]


def constants_made(layer: Mixing, constants: Tensor) -> Tensor:
    """The constants (M,) that a layer makes of those that it reads, (C,): NaN where the output depends on the image."""
    weight = kernels(layer)
    if pads_with_zeros(layer):
        constants = constants.masked_fill(constants != 0, torch.nan)  # a constant has an edge there
    varies = ((weight != 0).any(dim=2) & constants.isnan()).any(dim=1)
    values = weight.sum(dim=2) @ constants.nan_to_num(0.0)
    if layer.bias is not None:
        values = values + layer.bias.detach().cpu().double()
    return values.masked_fill(varies, torch.nan)


def kernels(layer: Mixing) -> Tensor:
    """A copy of the weight as float64 (M, C, Kh*Kw); 1 in place of Kh*Kw for a linear layer."""
    weight = layer.weight.detach().cpu().double()
    return weight.reshape(*weight.shape[:2], -1).clone()


def pads_with_zeros(layer: nn.Module) -> bool:
    """Whether a layer puts zeros around its input."""
    if not isinstance(layer, nn.Conv2d) or layer.padding_mode != "zeros":
        return False
    if isinstance(layer.padding, str):
        return layer.padding == "same" and max(layer.kernel_size) > 1
    return any(layer.padding)
