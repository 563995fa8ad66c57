"""Second moments of the patches that a convolution takes, and of its targets, without unfolding the patches.

A patch (C, Kh, Kw) consists of Kh strips, each a row of the padded input unfolded along its columns only. The strips
i and j of a patch are two rows of the input that lie j - i apart, and so are the strips i + 1 and j + 1 of a patch one
row higher. So the moments of the pair (i + 1, j + 1) are those of (i, j) less the rows that only these meet plus those
that only the others do: a window that slides down. At stride 1 this takes Kh large products in place of Kh^2, and a
Kh-th of the memory.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from typing import cast

import torch
from torch import Tensor

from gdws.algorithms.refit import Moments
from gdws.compression.calibration.gradient_norms import Call
from gdws.compression.layers import Conv

#: Where moments between channels are not wanted, products are taken of so many at a time; fewer would not be faster.
_CHANNELS = 32


class Strips:
    """Rows of the padded input of one call, unfolded along the columns, in an order in which a filter row meets a run.

    ``values`` (rows, B*W', Kw*C); filter row i meets ``height`` rows from ``first[i]`` on. With a stride s that order
    is 0, s, 2s, ..., 1, 1 + s, ...
    """

    def __init__(self, call: Call) -> None:
        x = call.padded.permute(2, 0, 3, 1)  # (Hp, B, Wp, C)
        (Kh, Kw), (down, across), (apart, aside) = call.kernel_size, call.stride, call.dilation
        self.height, width = call.output_size
        order = [row for start in range(down) for row in range(start, len(x), down)]
        x = (x if down == 1 else x[order]).contiguous()
        rows, B, _, C = x.shape
        by_row, by_image, by_column, _ = x.stride()
        unfolded = x.as_strided(
            (rows, B, width, Kw, C), (by_row, by_image, across * by_column, aside * by_column, 1), x.storage_offset()
        )
        self.values = unfolded.reshape(rows, B * width, Kw * C)
        self.first = [order.index(apart * row) for row in range(Kh)]

    def rows_of(self, filter_row: int) -> Tensor:
        """What one row of the filter meets, (H'*B*W', Kw*C)."""
        return self._run(self.first[filter_row], self.height)

    def products(self) -> dict[tuple[int, int], Tensor]:
        """For filter rows i <= j the sum over patches of strip i times strip j, (Kw*C, Kw*C) in float64."""
        pairs = [(i, j) for j in range(len(self.first)) for i in range(j + 1)]
        found: dict[tuple[int, int], Tensor] = {}
        for apart, group in groupby(sorted(pairs, key=self._slide), key=lambda pair: self._slide(pair)[0]):
            total, top = None, 0
            for pair in group:
                step = self.first[pair[0]] - top
                if total is None or 2 * step >= self.height:
                    total = self._product(self.first[pair[0]], apart, self.height)
                else:
                    total = total - self._product(top, apart, step) + self._product(top + self.height, apart, step)
                top = self.first[pair[0]]
                found[pair] = total
        return found

    def sums(self) -> Tensor:
        """The sum over patches of each strip, (Kh, Kw*C) in float64."""
        by_row = self.values.sum(1).double()
        return torch.stack([by_row[top : top + self.height].sum(0) for top in self.first])

    def _slide(self, pair: tuple[int, int]) -> tuple[int, int]:
        """How far apart the two runs of rows are, and where the first begins."""
        tops = self.first[pair[0]], self.first[pair[1]]
        return tops[1] - tops[0], tops[0]

    def _product(self, top: int, apart: int, count: int) -> Tensor:
        return (self._run(top, count).mT @ self._run(top + apart, count)).double()

    def _run(self, top: int, count: int) -> Tensor:
        return self.values[top : top + count].flatten(0, 1)


def channel_moments(call: Call) -> Tensor:
    """The sum over patches of the second moments within each input channel, (C, Kh*Kw, Kh*Kw) in float64."""
    parts = torch.split(call.padded, _CHANNELS, dim=1)
    return torch.cat([_channel_moments(replace(call, padded=part)) for part in parts])


def _channel_moments(call: Call) -> Tensor:
    Kh, Kw = call.kernel_size
    C = call.padded.shape[1]
    blocks = {pair: _within_channels(product, Kw, C) for pair, product in Strips(call).products().items()}
    rows = [torch.cat([blocks[i, j] if i <= j else blocks[j, i].mT for j in range(Kh)], dim=2) for i in range(Kh)]
    return torch.cat(rows, dim=1)


def _within_channels(product: Tensor, Kw: int, C: int) -> Tensor:
    """(Kw*C, Kw*C) -> (C, Kw, Kw)"""
    return product.view(Kw, C, Kw, C).diagonal(dim1=1, dim2=3).permute(2, 0, 1)


class PatchMoments:
    """Moments of the patches (C*Kh*Kw,) that a weight meets and of targets (M,), summed over its calls.

    Products of one call are taken in the dtype of the network, all sums in float64.
    """

    def __init__(self, weight_shape: tuple[int, ...]) -> None:
        self._shape = weight_shape
        self._xx: dict[tuple[int, int], Tensor] = {}
        self._yx: Tensor | float = 0.0
        self._x: Tensor | float = 0.0
        self._y: Tensor | float = 0.0
        self._yy = 0.0
        self._count = 0

    def add(self, convolution: Conv, x: Tensor, y: Tensor) -> None:
        """Take in a call of ``convolution`` on ``x`` (B, C, H, W), with targets ``y`` (B, M, H', W')."""
        call = Call.of(convolution, x, y)
        strips, y = Strips(call), y.reshape(*y.shape[:2], *call.output_size)
        for pair, product in strips.products().items():
            self._xx[pair] = self._xx[pair].add_(product) if pair in self._xx else product
        targets = y.permute(2, 0, 3, 1).reshape(-1, y.shape[1])  # (H'*B*W', M), in the order of the strips
        crossed = [targets.mT @ strips.rows_of(row) for row in range(len(strips.first))]
        self._yx = self._yx + torch.stack(crossed).double()
        self._x = self._x + strips.sums()
        self._y = self._y + targets.view(strips.height, -1, y.shape[1]).sum(1).double().sum(0)
        norms = torch.linalg.vector_norm(targets.view(strips.height, -1), dim=1)
        self._yy += float(norms.double().square().sum())
        self._count += len(targets)

    def mean(self) -> Moments:
        """The means over all patches."""
        M, C, Kh, Kw = self._shape
        size = C * Kh * Kw
        xx = torch.empty(C, Kh, Kw, C, Kh, Kw, dtype=torch.float64)
        for (i, j), product in self._xx.items():
            block = product.cpu().view(Kw, C, Kw, C)
            xx[:, i, :, :, j, :] = block.permute(1, 0, 3, 2)
            xx[:, j, :, :, i, :] = block.permute(3, 2, 1, 0)
        yx = cast(Tensor, self._yx).cpu().view(Kh, M, Kw, C).permute(1, 3, 0, 2)
        x = cast(Tensor, self._x).cpu().view(Kh, Kw, C).permute(2, 0, 1)
        return Moments(
            xx=xx.view(size, size).div_(self._count).numpy(),
            yx=yx.reshape(M, size).numpy() / self._count,
            yy=self._yy / self._count,
            x=x.reshape(size).numpy() / self._count,
            y=cast(Tensor, self._y).cpu().numpy() / self._count,
            count=self._count,
        )
