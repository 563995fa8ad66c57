"""Pruning before training: the smallest filters or weights are zero, and stay zero while the others are trained.

What GDWS is compared with (Dbouk & Shanbhag, 2021, section 5.2): structured pruning takes whole filters, as robust ADMM
does, unstructured single weights, as HYDRA does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from gdws.errors import GdwsError, ModelError

KINDS = ("filters", "weights")
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)


@dataclass(frozen=True)
class Pruning:
    """A ``share`` of the ``filters`` or ``weights`` of each convolution but the first, in [0, 1)."""

    what: str
    share: float

    def __post_init__(self) -> None:
        if self.what not in KINDS or not 0 < self.share < 1:
            hint = f"give {' or '.join(KINDS)} and a share between 0 and 1, e.g. filters:0.5 or weights:0.95"
            raise GdwsError(f"'{self.what}:{self.share:g}' is not a way to prune", hint=hint)

    @classmethod
    def parse(cls, text: str) -> Pruning:
        """The inverse of ``str``: ``filters:0.5`` or ``weights:0.95``. Raises :class:`~gdws.errors.GdwsError`."""
        what, _, share = text.partition(":")
        try:
            return cls(what.strip(), float(share))
        except ValueError:
            return cls(what.strip(), math.nan)

    def __str__(self) -> str:
        return f"{self.what}:{self.share:g}"


def prune(network: nn.Module, pruning: Pruning) -> Callable[[nn.Module], None]:
    """Set the smallest filters or weights of ``network`` to zero, in place, and return what sets them to zero again.

    Filters are compared by their l2 norms and weights by their magnitudes, within each convolution. A filter that goes
    takes its bias with it. At least one filter or weight of each convolution stays. Raises
    :class:`~gdws.errors.ModelError` if there is no convolution but the first.
    """
    convolutions = [(name, module) for name, module in network.named_modules() if isinstance(module, _CONVOLUTIONS)][1:]
    if not convolutions:
        raise ModelError("the network has no convolution to prune", hint="pruning leaves the first convolution alone")
    kept = {name: _kept(module.weight.detach(), pruning) for name, module in convolutions}

    def hold(pruned: nn.Module) -> None:
        with torch.no_grad():
            _apply(pruned, kept, filters=pruning.what == "filters")

    hold(network)
    return hold


def _kept(weight: torch.Tensor, pruning: Pruning) -> torch.Tensor:
    """Where a convolution's weight stays: True or False, by filter (M,) or of the weight's shape."""
    sizes = weight.flatten(1).norm(dim=1) if pruning.what == "filters" else weight.abs()
    gone = min(round(pruning.share * sizes.numel()), sizes.numel() - 1)
    kept = torch.ones(sizes.numel(), dtype=torch.bool, device=weight.device)
    kept[sizes.flatten().argsort(stable=True)[:gone]] = False
    return kept.reshape(sizes.shape)


def _apply(network: nn.Module, kept: Mapping[str, torch.Tensor], *, filters: bool) -> None:
    for name, mask in kept.items():
        convolution = network.get_submodule(name)
        assert isinstance(convolution, _CONVOLUTIONS)
        weight = convolution.weight
        mask = mask.to(weight.device)
        weight.mul_(mask.reshape(-1, *[1] * (weight.dim() - 1)) if filters else mask)
        if filters and convolution.bias is not None:
            convolution.bias.mul_(mask)
