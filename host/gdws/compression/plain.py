"""Replaces subclasses of ``nn.Conv2d``, and convolutions with computed weights, by equivalent plain convolutions.

Such a layer is recognised by running it, not by its code. If it makes a single call of a convolution, always with the
same weight, on its input or on the zero-padded input, and returns the result unchanged, it is equivalent to a plain
convolution with that weight. This covers weight standardisation, weight and spectral norm, pruning masks, and the
padding "same" of other frameworks, in any implementation. Other layers are left unchanged.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.conv import _ConvTransposeNd
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode

from gdws._util.modes import evaluation_mode
from gdws._util.outputs import relative_difference
from gdws.compression.layers import Conv, Sizes
from gdws.errors import ModelError, first_line

#: Largest difference between a plain layer and the original, relative to the largest output.
TOLERANCE = 1e-5

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
#: Sizes of the inputs that a layer is run on, beyond the extent of its filter: even, odd, and different on each axis.
_BEYOND = ((5, 8), (6, 6), (9, 4))


class NotPlain(ValueError):
    """The layer is not equivalent to a plain convolution; the message continues "a NAME, which ..."."""


class PaddedConv(nn.Module):
    """A plain convolution of the zero-padded input; ``amounts`` are as for :func:`torch.nn.functional.pad`.

    None is TensorFlow's "same": the output has one position for each ``stride`` of the input, and an odd amount of
    padding has the extra zero at the end.
    """

    def __init__(self, conv: Conv, amounts: Sizes | None) -> None:
        super().__init__()
        self.conv = conv
        self.amounts = amounts
        self.train(conv.training)

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution of ``x`` (N, C, ...)."""
        amounts = same_padding([int(size) for size in x.shape[2:]], self.conv) if self.amounts is None else self.amounts
        output: Tensor = self.conv(functional.pad(x, amounts))
        return output


def same_padding(sizes: Sequence[int], conv: Conv) -> Sizes:
    """The padding for one output position per stride of an input of ``sizes``, from the last axis on."""
    amounts: list[int] = []
    for size, k, s, d in zip(sizes, conv.kernel_size, conv.stride, conv.dilation, strict=True):
        total = max((-(-size // s) - 1) * s + d * (k - 1) + 1 - size, 0)
        amounts = [total // 2, total - total // 2, *amounts]
    return tuple(amounts)


def plain(model: nn.Module) -> nn.Module:
    """``model``, or a copy in which the layers that :func:`as_plain` can replace are replaced, if there are any.

    Names are kept, except that a convolution with separate padding becomes ``NAME.conv`` in a :class:`PaddedConv`.
    Computed weights become parameters; further training no longer normalises or masks them.
    """
    found = {id(module): made for module in model.modules() if is_odd(module) and (made := _try(module)) is not None}
    if not found:
        return model
    try:
        return copy.deepcopy(model, dict(found))  # the memo makes deepcopy use these as the copies
    except (RuntimeError, TypeError, AttributeError, NotImplementedError) as error:
        raise ModelError(f"the model cannot be copied: {first_line(error)}") from error


def is_odd(module: nn.Module) -> bool:
    """Whether ``module`` is a convolution with weights that may not be a plain one."""
    if not isinstance(module, nn.Conv1d | nn.Conv2d) or isinstance(module, _ConvTransposeNd):
        return False
    if any(is_lazy(parameter) for parameter in module.parameters()):
        return False
    return type(module) not in (nn.Conv1d, nn.Conv2d) or "weight" not in module._parameters or "forward" in vars(module)


def as_plain(module: Conv) -> nn.Module:
    """The plain convolution, or :class:`PaddedConv`, that is equivalent to ``module`` in evaluation mode.

    Raises :class:`NotPlain` with what else it does.
    """
    if any(_foreign_hooks(module)):
        raise NotPlain("has hooks, which may change the result; remove them first")
    calls = [_called(module, _noise(module, sizes[: len(module.kernel_size)])) for sizes in _BEYOND]
    first = calls[0]
    if any(not torch.equal(call.weight, first.weight) for call in calls):
        raise NotPlain("computes its weight from its input")
    if any(call.geometry != first.geometry for call in calls):
        raise NotPlain("changes its stride, padding or dilation with its input")
    conv = _conv(module, first)
    made = _padded(conv, calls)
    with torch.no_grad():
        found = [made(call.x) for call in calls]
    change = max(relative_difference([mine], [call.output]) for mine, call in zip(found, calls, strict=True))
    if not change <= TOLERANCE:
        raise NotPlain(f"does more than a convolution: its outputs differ by {change:.2g}")
    return made.train(module.training)


class _Call(NamedTuple):
    """Input and output of a layer, and the single convolution that it called."""

    x: Tensor
    output: Tensor
    taken: Tensor
    weight: Tensor
    bias: Tensor | None
    geometry: tuple[Sizes, Sizes | str, Sizes, int]
    """Stride, padding, dilation, groups."""


class _Convolutions(TorchFunctionMode):
    """Records the arguments of each convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[dict[str, Any]] = []

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        if func in (torch.conv1d, torch.conv2d):
            names = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
            self.calls.append(dict(zip(names, args, strict=False)) | (kwargs or {}))
        return func(*args, **(kwargs or {}))


def _try(module: nn.Module) -> nn.Module | None:
    try:
        return as_plain(module)  # type: ignore[arg-type]
    except NotPlain:
        return None


def _called(module: Conv, x: Tensor) -> _Call:
    convolutions = _Convolutions()
    try:
        with evaluation_mode(module), torch.no_grad(), torch.random.fork_rng(devices=[]), convolutions:
            output = module(x.clone())
    except Exception as error:  # whatever its code raises
        raise NotPlain(f"cannot be run on its own ({first_line(error)})") from error
    if not isinstance(output, Tensor):
        raise NotPlain("does not return a tensor")
    if len(convolutions.calls) != 1:
        raise NotPlain(f"calls {len(convolutions.calls)} convolutions")
    call = convolutions.calls[0]
    axes, padding = x.ndim - 2, call.get("padding", 0)
    stride, dilation = (_sizes(call.get(name, 1), axes) for name in ("stride", "dilation"))
    around = padding if isinstance(padding, str) else _sizes(padding, axes)
    geometry = (stride, around, dilation, int(call.get("groups", 1)))
    bias = call.get("bias")
    weight = call["weight"].detach().clone()
    return _Call(x, output, call["input"].detach(), weight, None if bias is None else bias.detach().clone(), geometry)


def _conv(module: Conv, call: _Call) -> Conv:
    stride, padding, dilation, groups = call.geometry
    kind: Any = nn.Conv1d if isinstance(module, nn.Conv1d) else nn.Conv2d
    M, channels, *taps = call.weight.shape
    geometry = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    conv: Conv = kind(channels * groups, M, tuple(taps), bias=call.bias is not None, device="meta", **geometry)
    trained = any(parameter.requires_grad for parameter in module.parameters())
    conv.weight = nn.Parameter(call.weight, requires_grad=trained)
    conv.bias = None if call.bias is None else nn.Parameter(call.bias, requires_grad=trained)
    return conv


def _padded(conv: Conv, calls: Sequence[_Call]) -> nn.Module:
    """``conv`` with the padding that ``calls`` applied to their inputs before it."""
    amounts = [_zeros_around(call) for call in calls]
    if len(set(amounts)) == 1:
        if not any(amounts[0]):
            return conv
        return PaddedConv(conv, amounts[0])
    if all(found == same_padding(call.x.shape[2:], conv) for found, call in zip(amounts, calls, strict=True)):
        return PaddedConv(conv, None)
    raise NotPlain("pads its input in an unsupported way")


def _zeros_around(call: _Call) -> Sizes:
    """The zeros around the layer's input in the convolution's, as for :func:`torch.nn.functional.pad`."""
    totals = [theirs - mine for theirs, mine in zip(call.taken.shape[2:], call.x.shape[2:], strict=True)]
    if call.taken.shape[:2] != call.x.shape[:2] or min(totals) < 0:
        raise NotPlain("changes its input before the convolution")
    for before in product(*(range(total + 1) for total in totals)):
        sides = [(amount, total - amount) for amount, total in zip(before, totals, strict=True)]
        amounts = tuple(amount for pair in reversed(sides) for amount in pair)
        if torch.equal(functional.pad(call.x, amounts), call.taken):
            return amounts
    raise NotPlain("changes its input before the convolution")


def _noise(module: Conv, beyond: Sequence[int]) -> Tensor:
    """An input (2, C, ...) slightly larger than the filter's extent, on the device of the weights."""
    like = next(module.parameters())
    sizes = [d * (k - 1) + more for k, d, more in zip(module.kernel_size, module.dilation, beyond, strict=True)]
    return torch.randn(2, module.in_channels, *sizes, generator=torch.Generator().manual_seed(0)).to(like)


def _foreign_hooks(module: nn.Module) -> list[object]:
    """Hooks that are not torch's own for computing weights: weight norm, spectral norm, pruning."""
    hooks = [hook for kind in _HOOKS for hook in getattr(module, kind).values()]
    return [hook for hook in hooks if not any(_is_of_torch(kind) for kind in type(hook).__mro__)]


def _is_of_torch(kind: type) -> bool:
    return kind.__module__.startswith("torch.nn.utils.")


def _sizes(value: int | Sequence[int], axes: int) -> Sizes:
    return (
        (value,) * axes if isinstance(value, int) else (tuple(value) * axes)[:axes] if len(value) == 1 else tuple(value)
    )
