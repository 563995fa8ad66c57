"""The size of a network, with and without its zeros."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from gdws_contract.costs import size_mib

#: A network with at least this fraction of zeros counts as pruned; trained networks have a few zeros by chance.
_PRUNED = 0.02


@dataclass(frozen=True)
class Sizes:
    """``parameters`` of a network, and those that are not zero. Statistics of normalisation are not counted."""

    parameters: int
    non_zero: int

    @property
    def pruned(self) -> bool:
        """Whether many are zero."""
        return self.non_zero < (1 - _PRUNED) * self.parameters

    @property
    def mib(self) -> float:
        """MiB at four bytes a parameter, as the paper counts them."""
        return size_mib(self.parameters)

    @property
    def mib_non_zero(self) -> float:
        """MiB of the non-zero parameters, without their indices."""
        return size_mib(self.non_zero)


def sizes(network: nn.Module) -> Sizes:
    """Count the parameters of a network, each once."""
    parameters = list(network.parameters())
    return Sizes(sum(each.numel() for each in parameters), sum(int(each.count_nonzero()) for each in parameters))
