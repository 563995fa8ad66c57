"""Squared norms of per-sample weight gradients of a convolution, without forming them where that is dearer.

Sample b's gradient by the weight (M, C, Kh, Kw) is G_b X_b^T: output gradients G_b (M, P) times the unfolded
input X_b (C*Kh*Kw, P), over the P output positions of all calls. Wanted is its squared norm for each input
channel, summed over samples and over several sets of output gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Protocol, cast

import torch
from torch import Tensor
from torch.nn import functional

from gdws.compression.layers import Conv, split_padding

Pair = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Call:
    """One application of a weight: the input as padded, (B, C, Hp, Wp), and how the filter moves over it.

    ``output_size`` is (H', W').
    """

    padded: Tensor
    kernel_size: Pair
    stride: Pair
    dilation: Pair
    output_size: Pair

    @classmethod
    def of(cls, conv: Conv, x: Tensor, output: Tensor) -> Call:
        """Return the call of ``conv`` on ``x`` (B, C, H, W) that gave ``output``; it keeps a copy of ``x``.

        A call of a 1D convolution on (B, C, L) is one of height 1.
        """
        pad, mode, inside = split_padding(conv.padding, conv.kernel_size, conv.dilation, conv.padding_mode)
        padded = functional.pad(x.detach(), pad or [amount for amount in inside[::-1] for _ in "ab"], mode=mode)
        if padded.data_ptr() == x.data_ptr():
            padded = padded.clone()  # a later operation in place must not change it
        geometry = (conv.kernel_size, conv.stride, conv.dilation, tuple(output.shape[2:]))
        sizes = (cast(Pair, (1, *size) if len(size) == 1 else size) for size in geometry)
        return cls(padded.unsqueeze(2) if padded.ndim == 3 else padded, *sizes)

    @property
    def positions(self) -> int:
        """The number of output positions, H'*W'."""
        return self.output_size[0] * self.output_size[1]

    @property
    def inputs(self) -> int:
        """The number of padded input positions, Hp*Wp."""
        return self.padded.shape[2] * self.padded.shape[3]

    def taps(self) -> list[tuple[slice, slice]]:
        """For each filter tap, the rows and columns of the padded input that it meets."""
        rows, columns = (
            [slice(d * tap, d * tap + s * (n - 1) + 1, s) for tap in range(k)]
            for k, s, d, n in zip(self.kernel_size, self.stride, self.dilation, self.output_size, strict=True)
        )
        return list(product(rows, columns))


class SquaredNorms(Protocol):
    """Takes in output gradients, set after set; gives the sum of squared norms."""

    def add(self, gradients: Tensor) -> None:
        """Take in one set of output gradients, (B, M, P), the calls in order."""

    def total(self) -> Tensor:
        """Return the squared norms by input channel, (C,), summed over samples and sets, in float64."""


def squared_norms(calls: Sequence[Call], out_channels: int, sets: int) -> SquaredNorms:
    """Return the cheaper of the two ways for that many sets of output gradients with M ``out_channels``."""
    channels, kernel_size = calls[0].padded.shape[1], calls[0].kernel_size
    positions, inputs = sum(call.positions for call in calls), sum(call.inputs for call in calls)
    by_product = sets * out_channels * positions * channels * kernel_size[0] * kernel_size[1]
    by_gram = sets * out_channels * positions**2 + (channels + _MEMORY_COST) * inputs**2
    return _ByGram(calls) if by_gram < by_product else _ByProduct(calls)


#: What it takes to fill one entry of the matrix over input positions with memory that was never touched before,
#: in multiply-adds.
_MEMORY_COST = 500


class _ByProduct:
    """Forms G X^T for each set: for many positions."""

    def __init__(self, calls: Sequence[Call]) -> None:
        self._channels = calls[0].padded.shape[1]
        unfolded = [functional.unfold(call.padded, call.kernel_size, call.dilation, 0, call.stride) for call in calls]
        columns = unfolded[0] if len(unfolded) == 1 else torch.cat(unfolded, dim=2)
        self._columns = columns.mT  # (B, P, C*Kh*Kw)
        self._sum = self._columns.new_zeros(self._columns.shape[2], dtype=torch.float64)

    def add(self, gradients: Tensor) -> None:
        self._sum += (gradients @ self._columns).square_().sum(dim=(0, 1))

    def total(self) -> Tensor:
        return self._sum.view(self._channels, -1).sum(dim=1)


class _ByGram:
    """Sums A = G^T G over the sets, then takes the quadratic form of each channel: for few positions.

    The squared norm of a channel is the sum over filter taps of x^T S_t^T A S_t x, with x its padded input and
    S_t the selection of the positions that tap t meets. So A, spread over input positions tap by tap, serves
    all channels.
    """

    def __init__(self, calls: Sequence[Call]) -> None:
        self._calls = calls
        self._gram: Tensor | None = None

    def add(self, gradients: Tensor) -> None:
        products = gradients.mT @ gradients
        self._gram = products if self._gram is None else self._gram.add_(products)

    def total(self) -> Tensor:
        inputs = [call.padded.flatten(2) for call in self._calls]
        x = inputs[0] if len(inputs) == 1 else torch.cat(inputs, dim=2)  # (B, C, inputs)
        if self._gram is None:
            return x.new_zeros(x.shape[1], dtype=torch.float64)
        return ((x @ self._spread(self._gram)) * x).sum(dim=(0, 2)).double()

    def _spread(self, gram: Tensor) -> Tensor:
        """The sum over taps of S_t^T A S_t, (B, inputs, inputs), from A (B, P, P)."""
        samples, total = len(gram), sum(call.inputs for call in self._calls)
        spread = gram.new_zeros(samples, total, total)
        positions, inputs = [call.positions for call in self._calls], [call.inputs for call in self._calls]
        sources, targets = torch.split(gram, positions, 1), torch.split(spread, inputs, 1)
        for row, sources_of_row, targets_of_row in zip(self._calls, sources, targets, strict=True):
            parts, places = torch.split(sources_of_row, positions, 2), torch.split(targets_of_row, inputs, 2)
            for column, part, place in zip(self._calls, parts, places, strict=True):
                source = part.reshape(samples, *row.output_size, *column.output_size)
                target = place.view(samples, *row.padded.shape[2:], *column.padded.shape[2:])
                for (top, left), (bottom, right) in zip(row.taps(), column.taps(), strict=True):
                    target[:, top, left, bottom, right] += source
        return spread
