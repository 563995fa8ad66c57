"""The GDWS convolution as a torch module, and conversion back to an equivalent dense network."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from gdws_contract.plan import LAYOUTS

#: A size for each axis: (height, width) of an image, (length,) of a signal.
Sizes: TypeAlias = tuple[int, ...]
#: A convolution that a GDWS layer can stand for.
Conv: TypeAlias = nn.Conv1d | nn.Conv2d

_KINDS: Mapping[int, type[Conv]] = {1: nn.Conv1d, 2: nn.Conv2d}


class GDWSConv2d(nn.Module):
    """A generalized depthwise-separable convolution: depthwise filters, then a pointwise convolution.

    Input (N, C, H, W), output (N, M, H', W'), as for the convolution it replaces (Section 3.1 of the paper).
    The layouts compute the same function:

    - ``gather`` repeats input channel c ``ranks[c]`` times, then runs one depthwise convolution. Any ranks.
      The gather is left out where every rank is 1.
    - ``stacked`` runs g depthwise convolutions on the same input and concatenates them. Equal ranks.
    - ``grouped`` runs one grouped convolution with channel multiplier g. Equal ranks.

    Without components (G = 0) the output is the bias, or zero, in the output's shape.

    Args:
        depthwise: the filters, (G, Kh, Kw), ordered by input channel.
        pointwise: the pointwise weights, (M, G).
        ranks: the number of filters of each input channel, C integers of sum G.
        bias: (M,), or None. A parameter is used as it is, so that it can be shared.
        stride, padding, dilation, padding_mode: as for :class:`torch.nn.Conv2d`.
        layout: ``gather``, ``stacked`` or ``grouped``.

    Raises ``ValueError`` if the shapes disagree or the layout does not allow the ranks.
    """

    _AXES: ClassVar[int] = 2

    depthwise: Conv | _Gathered | _Stacked | _Zeros
    pointwise: Conv | _Bias

    def __init__(
        self,
        depthwise: Tensor,
        pointwise: Tensor,
        ranks: Sequence[int],
        bias: Tensor | None = None,
        *,
        stride: int | Sizes = 1,
        padding: int | Sizes | str = 0,
        dilation: int | Sizes = 1,
        padding_mode: str = "zeros",
        layout: str = "gather",
    ) -> None:
        super().__init__()
        axes = self._AXES
        _check_factors(depthwise, pointwise, ranks, layout, axes)
        self.in_channels = len(ranks)
        self.out_channels = pointwise.shape[0]
        self.kernel_size: Sizes = tuple(depthwise.shape[1:])
        self.stride = _on_axes(stride, axes)
        self.padding = padding if isinstance(padding, str) else _on_axes(padding, axes)
        self.dilation = _on_axes(dilation, axes)
        self.padding_mode = padding_mode
        self.layout = layout
        self._pad, self._pad_mode, inner_padding = split_padding(
            self.padding, self.kernel_size, self.dilation, padding_mode
        )
        geometry: dict[str, Any] = {
            "stride": self.stride,
            "padding": inner_padding,
            "dilation": self.dilation,
        }
        if sum(ranks) == 0:
            self.depthwise = _Zeros(depthwise.new_zeros(1, 1, *self.kernel_size), **geometry)
            self.pointwise = _Bias((self.out_channels, *[1] * axes), bias, like=pointwise)
            return
        filters = depthwise.unsqueeze(1)
        if layout == "stacked":
            self.depthwise = _Stacked(filters.reshape(self.in_channels, -1, *filters.shape[1:]), **geometry)
            # Its outputs run through the channels once for each component; so must the columns.
            pointwise = pointwise.reshape(self.out_channels, self.in_channels, -1).transpose(1, 2).flatten(1)
        elif layout == "grouped" or set(ranks) == {1}:
            self.depthwise = _conv(filters, groups=self.in_channels, **geometry)
        else:
            self.depthwise = _Gathered(filters, ranks, **geometry)
        self.pointwise = _conv(pointwise.reshape(*pointwise.shape, *[1] * axes), bias)

    @classmethod
    def in_place_of(
        cls, conv: Conv, depthwise: Tensor, pointwise: Tensor, ranks: Sequence[int], *, layout: str
    ) -> GDWSConv2d:
        """Return a layer of these factors with the bias, geometry and mode of ``conv``, trained where that is.

        It has the axes of ``conv``; filters (G, Kh, Kw) of a 1D convolution have the height 1. Raises as the
        constructor.
        """
        cls = GDWSConv1d if isinstance(conv, nn.Conv1d) else GDWSConv2d
        depthwise = depthwise.reshape(len(depthwise), *conv.kernel_size)
        depthwise, pointwise = (each.requires_grad_(conv.weight.requires_grad) for each in (depthwise, pointwise))
        layer = cls(
            depthwise,
            pointwise,
            ranks,
            conv.bias,
            stride=conv.stride,
            padding=conv.padding,
            dilation=conv.dilation,
            padding_mode=conv.padding_mode,
            layout=layout,
        )
        return layer.train(conv.training)

    def forward(self, input: Tensor) -> Tensor:
        """Return the convolution of ``input`` (N, C, H, W) as (N, M, H', W').

        The parameter has the same name as in torch, since a network may pass it by keyword.
        """
        if self._pad is not None:
            input = functional.pad(input, self._pad, mode=self._pad_mode)
        output: Tensor = self.pointwise(self.depthwise(input))
        return output

    @property
    def ranks(self) -> tuple[int, ...]:
        """The channel distribution vector g, C integers."""
        if isinstance(self.depthwise, _Gathered):
            return tuple(torch.bincount(self.depthwise.channels, minlength=self.in_channels).tolist())
        components = 0 if isinstance(self.pointwise, _Bias) else self.pointwise.in_channels
        return (components // self.in_channels,) * self.in_channels

    @property
    def bias(self) -> Tensor | None:
        """The bias (M,), or None."""
        return self.pointwise.bias

    def dense_weight(self) -> Tensor:
        """Return the weight (M, C, Kh, Kw) of the dense convolution of the same function.

        Gradients flow to the factors. Sums are taken in float32 at least.
        """
        shape = (self.out_channels, self.in_channels, *self.kernel_size)
        if isinstance(self.pointwise, _Bias):
            return self.pointwise.zeros.new_zeros(shape)
        depthwise = self.depthwise_convolutions()
        # Filters (G, Kh, Kw) and columns (M, G), both ordered by input channel.
        filters = torch.stack([conv.weight[:, 0] for conv in depthwise], dim=1).flatten(0, 1)
        columns = self.pointwise.weight.view(self.out_channels, len(depthwise), -1).transpose(1, 2).flatten(1)
        wide = torch.promote_types(filters.dtype, torch.float32)
        dense = torch.zeros(shape, dtype=wide, device=filters.device)
        ranks = torch.tensor(self.ranks, device=filters.device)
        starts = ranks.cumsum(0) - ranks
        for index in range(int(ranks.max())):
            channels = torch.nonzero(ranks > index).flatten()
            components = starts[channels] + index
            mixed = columns[:, components].to(wide)
            terms = mixed.reshape(*mixed.shape, *[1] * self._AXES) * filters[components].to(wide)
            dense = dense.index_add(1, channels, terms)
        return dense.to(filters.dtype)

    def depthwise_convolutions(self) -> list[Conv]:
        """The depthwise convolutions: g of them if stacked, none if G = 0, else one."""
        return [module for module in self.depthwise.modules() if isinstance(module, nn.Conv1d | nn.Conv2d)]

    def tie_weights(self, other: GDWSConv2d) -> None:
        """Use the factors of ``other``, which has the same ranks and layout, as this layer's own."""
        if isinstance(self.pointwise, _Bias) or isinstance(other.pointwise, _Bias):
            return
        for mine, theirs in zip(self.depthwise_convolutions(), other.depthwise_convolutions(), strict=True):
            mine.weight = theirs.weight
        self.pointwise.weight = other.pointwise.weight

    def extra_repr(self) -> str:
        """Return the line shown when the module is printed."""
        padding = repr(self.padding) if self.padding_mode == "zeros" else f"{self.padding!r} {self.padding_mode}"
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"padding={padding}, dilation={self.dilation}, G={sum(self.ranks)}, layout={self.layout}"
        )


class GDWSConv1d(GDWSConv2d):
    """As :class:`GDWSConv2d` with one axis: input (N, C, L), output (N, M, L'), filters ``depthwise`` (G, K)."""

    _AXES = 1


class _Gathered(nn.Module):
    """One depthwise convolution on input channels that are repeated, or left out."""

    channels: Tensor

    def __init__(self, filters: Tensor, ranks: Sequence[int], **geometry: Any) -> None:
        super().__init__()
        counts = torch.tensor(ranks, device=filters.device)
        self.register_buffer("channels", torch.arange(len(counts), device=counts.device).repeat_interleave(counts))
        self.conv = _conv(filters, groups=len(filters), **geometry)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.conv(x.index_select(1, self.channels))
        return output


class _Stacked(nn.ModuleList):
    """Depthwise convolutions side by side; ``filters`` are (C, g, 1, Kh, Kw), or (C, g, 1, K)."""

    def __init__(self, filters: Tensor, **geometry: Any) -> None:
        super().__init__(_conv(each, groups=len(each), **geometry) for each in filters.unbind(1))

    def forward(self, x: Tensor) -> Tensor:
        maps = [conv(x) for conv in self]
        return maps[0] if len(maps) == 1 else torch.cat(maps, dim=1)


class _Zeros(nn.Module):
    """A map (N, 1, H', W') of zeros, of the size that the convolution would have.

    A convolution of one channel by a zero filter. It gives the size without arithmetic on shapes, so that any
    exporter and any batch size will do, and keeps the output connected to the input for gradients.
    """

    weight: Tensor

    def __init__(self, weight: Tensor, **geometry: Any) -> None:
        super().__init__()
        self.register_buffer("weight", weight, persistent=False)
        self.geometry = geometry

    def forward(self, x: Tensor) -> Tensor:
        convolve = functional.conv1d if self.weight.ndim == 3 else functional.conv2d
        return convolve(x[:, :1], self.weight, **self.geometry)


class _Bias(nn.Module):
    """Adds the bias to a map of zeros: (N, 1, H', W') -> (N, M, H', W')."""

    zeros: Tensor
    bias: nn.Parameter | None

    def __init__(self, shape: Sizes, bias: Tensor | None, *, like: Tensor) -> None:
        super().__init__()
        self.register_parameter("bias", None if bias is None else _parameter(bias))
        self.register_buffer("zeros", like.new_zeros(shape), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + (self.zeros if self.bias is None else self.bias.view(self.zeros.shape))


def to_dense(module: nn.Module) -> nn.Module:
    """Return a copy of ``module`` in which each GDWS convolution is replaced by an equivalent dense one.

    Dense convolutions run faster where many gradients are needed, as in attacks. ``module`` is not changed.
    Layers that share their factors share the dense weight.
    """
    converted = copy.deepcopy(module)
    modules = list(converted.modules())  # keeps the replaced ones alive, so that identities stay unique
    weights: dict[int, nn.Parameter] = {}
    dense = {id(layer): _dense_conv(layer, weights) for layer in modules if isinstance(layer, GDWSConv2d)}
    return replace(converted, dense)


def replace(module: nn.Module, replacements: Mapping[int, nn.Module]) -> nn.Module:
    """Put replacements, by identity of the module they stand for, wherever those are registered.

    Returns ``module``, changed in place, or its own replacement.
    """
    for parent in list(module.modules()):
        for name, child in parent._modules.items():
            if id(child) in replacements:
                parent._modules[name] = replacements[id(child)]
    return replacements.get(id(module), module)


def split_padding(
    padding: str | Sizes, kernel_size: Sizes, dilation: Sizes, padding_mode: str
) -> tuple[Sizes | None, str, Sizes]:
    """Split the padding of a convolution into a pad before it and the padding of its own.

    Returns ``(pad, mode, padding)``. ``pad`` and ``mode`` are for :func:`torch.nn.functional.pad`, ordered
    from the last axis on: (left, right, top, bottom); ``pad`` is None where the convolution can pad by itself, that is
    with zeros and by the same amount on both sides.
    """
    if padding == "same":
        totals = [d * (k - 1) for d, k in zip(dilation, kernel_size, strict=True)]
        sides = [(total // 2, total - total // 2) for total in totals]
    elif isinstance(padding, str):  # "valid"
        sides = [(0, 0)] * len(kernel_size)
    else:
        sides = [(amount, amount) for amount in padding]
    if padding_mode == "zeros":
        if all(before == behind for before, behind in sides):
            return None, "constant", tuple(before for before, _ in sides)
        padding_mode = "constant"
    pad = tuple(amount for pair in reversed(sides) for amount in pair)
    return (pad if any(pad) else None), padding_mode, (0,) * len(kernel_size)


def _check_factors(depthwise: Tensor, pointwise: Tensor, ranks: Sequence[int], layout: str, axes: int) -> None:
    components = depthwise.shape[0]
    if depthwise.ndim != 1 + axes or pointwise.ndim != 2 or not components == pointwise.shape[1] == sum(ranks):
        raise ValueError(
            f"depthwise filters {tuple(depthwise.shape)}, pointwise weights {tuple(pointwise.shape)} and ranks "
            f"of sum {sum(ranks)} do not match"
        )
    if layout not in LAYOUTS:
        raise ValueError(f"unknown layout {layout!r}; layouts are: {', '.join(LAYOUTS)}")
    if layout != "gather" and len(set(ranks)) > 1:
        raise ValueError(f"layout {layout} needs equal ranks in every channel")


def _dense_conv(layer: GDWSConv2d, weights: dict[int, nn.Parameter]) -> Conv:
    """The dense convolution of ``layer``; ``weights`` has those already made, by identity of the factors."""
    factors = layer if isinstance(layer.pointwise, _Bias) else layer.pointwise.weight
    if id(factors) not in weights:
        trainable = any(p.requires_grad for p in layer.parameters())
        weights[id(factors)] = nn.Parameter(layer.dense_weight().detach(), requires_grad=trainable)
    conv = _conv(
        weights[id(factors)],
        layer.bias,
        stride=layer.stride,
        padding=layer.padding,
        dilation=layer.dilation,
        padding_mode=layer.padding_mode,
    )
    return conv.train(layer.training)


def _conv(weight: Tensor, bias: Tensor | None = None, *, groups: int = 1, **geometry: Any) -> Conv:
    """A convolution with these weights (M, C / groups, Kh, Kw), or (M, C / groups, K), made without random numbers."""
    M, channels, *taps = weight.shape
    kernel_size: Any = tuple(taps)
    kind = _KINDS[len(taps)]
    conv = kind(channels * groups, M, kernel_size, groups=groups, bias=bias is not None, device="meta", **geometry)
    conv.weight = _parameter(weight)
    conv.bias = None if bias is None else _parameter(bias)
    return conv


def _parameter(tensor: Tensor) -> nn.Parameter:
    if isinstance(tensor, nn.Parameter):
        return tensor
    return nn.Parameter(tensor.detach().contiguous(), requires_grad=tensor.requires_grad)


def _on_axes(value: int | Sizes, axes: int) -> Sizes:
    return (value,) * axes if isinstance(value, int) else tuple(value)
