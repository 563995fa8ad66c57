"""How large a network is and what an inference costs, found without memory for its weights."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class Size:
    """Learnable ``parameters``, and multiply-accumulates of convolutions and linear layers for one image."""

    parameters: int
    macs: int

    @property
    def mib(self) -> float:
        """The paper's Size: learnable parameters as float32, in MiB. BN's running statistics do not count."""
        return 4 * self.parameters / 2**20


def size(model: nn.Module, input_shape: tuple[int, int, int]) -> Size:
    """The size of a network and its cost on one image of ``input_shape`` (C, H, W).

    The network is run once, on the device of its first parameter; on torch's ``meta`` device that costs nothing.
    """
    macs = 0

    def count(module: nn.Module, _: object, out: torch.Tensor) -> None:
        nonlocal macs
        if isinstance(module, nn.Conv2d):
            macs += out.numel() * module.weight[0].numel()
        elif isinstance(module, nn.Linear):
            macs += out.numel() * module.in_features

    hooks = [module.register_forward_hook(count) for module in model.modules()]
    was_training = model.training
    try:
        with torch.no_grad():
            model.eval()(torch.zeros(1, *input_shape, device=next(model.parameters()).device))
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    return Size(sum(parameter.numel() for parameter in model.parameters()), macs)
