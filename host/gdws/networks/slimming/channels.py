"""Channels of the tensors of a network: which must be kept or removed together, and which are constant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Channels:
    """The channels of one tensor, C of them along axis 1.

    ``groups`` (C,) int64 has the group of each, see :class:`Groups`. ``constants`` (C,) float64 has the value of a
    channel that is the same everywhere and for every image, NaN for others.
    """

    groups: Tensor
    constants: Tensor

    def with_constants(self, constants: Tensor) -> Channels:
        """The same channels with other values."""
        return Channels(self.groups, constants)


@dataclass
class Groups:
    """Groups of channels that must be kept or removed together, e.g. by a residual sum: a disjoint-set forest."""

    _parents: list[int] = field(default_factory=list)
    _pinned: set[int] = field(default_factory=set)

    def __len__(self) -> int:
        return len(self._parents)

    def new(self, count: int) -> Tensor:
        """``count`` groups of one channel."""
        first = len(self._parents)
        self._parents += range(first, first + count)
        return torch.arange(first, first + count)

    def merge(self, one: Tensor, other: Tensor) -> None:
        """Merge the groups of two tensors' channels, each (C,)."""
        for a, b in zip(one.tolist(), other.tolist(), strict=True):
            low, high = sorted((self._root(a), self._root(b)))
            self._parents[high] = low

    def pin(self, groups: Tensor) -> None:
        """Mark groups to be kept."""
        self._pinned.update(groups.tolist())

    def roots(self, groups: Tensor) -> Tensor:
        """The representative of each group after merging, (C,)."""
        return torch.tensor([self._root(group) for group in groups.tolist()], dtype=torch.int64)

    def pinned(self) -> Tensor:
        """Whether each group must be kept, by root, (number of channels,) bool."""
        stays = torch.zeros(len(self._parents), dtype=torch.bool)
        stays[self.roots(torch.tensor(sorted(self._pinned), dtype=torch.int64))] = True
        return stays

    def _root(self, group: int) -> int:
        while self._parents[group] != group:
            self._parents[group] = self._parents[self._parents[group]]
            group = self._parents[group]
        return group


def concatenated(parts: Sequence[Channels]) -> Channels:
    """Tensors one after the other along the channels."""
    return Channels(torch.cat([part.groups for part in parts]), torch.cat([part.constants for part in parts]))
