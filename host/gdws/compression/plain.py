"""Convolutions that practitioners have, as plain ones: subclasses of ``nn.Conv2d``, and weights that are computed.

What such a layer is, is not read from its code but seen when it runs. If it calls one convolution, always with the same
weight, on its input or on that with zeros around it, and gives what that convolution gives, then it is a plain
convolution of that weight. So weight standardisation, weight and spectral norm, pruning masks, and the padding
"same" of other frameworks are covered, whoever wrote them; a layer that does anything else stays as it is.
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

#: A plain layer may differ from the one it stands for by this, over the largest output.
TOLERANCE = 1e-5

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
#: Positions that a layer is tried at, beyond the extent of its filter: even, odd, and other on each axis.
_BEYOND = ((5, 8), (6, 6), (9, 4))


class NotPlain(ValueError):
    """The layer computes something else; the message goes on from its name."""


class PaddedConv(nn.Module):
    """A plain convolution with zeros put around its input first, ``amounts`` as :func:`torch.nn.functional.pad` takes.

    None stands for "same" as TensorFlow has it: the output has one position for each ``stride`` of the input, and what
    is odd of the padding is behind.
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
    """The zeros that give one output position for each stride of an input of ``sizes``, from the last axis on."""
    amounts: list[int] = []
    for size, k, s, d in zip(sizes, conv.kernel_size, conv.stride, conv.dilation, strict=True):
        total = max((-(-size // s) - 1) * s + d * (k - 1) + 1 - size, 0)
        amounts = [total // 2, total - total // 2, *amounts]
    return tuple(amounts)


def plain(model: nn.Module) -> nn.Module:
    """``model`` itself, or a copy in which each layer that :func:`as_plain` knows is plain, where there are such.

    Names stay, but that of a convolution with padding of its own, ``NAME.conv`` in a :class:`PaddedConv`. Weights that
    were computed become weights; training them further no longer normalises or masks them.
    """
    found = {id(module): made for module in model.modules() if is_odd(module) and (made := _try(module)) is not None}
    if not found:
        return model
    try:
        return copy.deepcopy(model, dict(found))  # the memo: they are taken for copies that were made already
    except (RuntimeError, TypeError, AttributeError, NotImplementedError) as error:
        raise ModelError(f"the model cannot be copied: {first_line(error)}") from error


def is_odd(module: nn.Module) -> bool:
    """Whether ``module`` is a convolution with weights of its own, but perhaps not a plain one."""
    if not isinstance(module, nn.Conv1d | nn.Conv2d) or isinstance(module, _ConvTransposeNd):
        return False
    if any(is_lazy(parameter) for parameter in module.parameters()):
        return False
    return type(module) not in (nn.Conv1d, nn.Conv2d) or "weight" not in module._parameters or "forward" in vars(module)


def as_plain(module: Conv) -> nn.Module:
    """The plain convolution, or :class:`PaddedConv`, that computes what ``module`` does in evaluation mode.

    Raises :class:`NotPlain` that says what it does besides.
    """
    if any(_foreign_hooks(module)):
        raise NotPlain("has hooks, which may do anything; remove them first")
    calls = [_called(module, _noise(module, sizes[: len(module.kernel_size)])) for sizes in _BEYOND]
    first = calls[0]
    if any(not torch.equal(call.weight, first.weight) for call in calls):
        raise NotPlain("computes its weight from its input")
    if any(call.geometry != first.geometry for call in calls):
        raise NotPlain("moves otherwise over other inputs")
    conv = _conv(module, first)
    made = _padded(conv, calls)
    with torch.no_grad():
        found = [made(call.x) for call in calls]
    change = max(relative_difference([mine], [call.output]) for mine, call in zip(found, calls, strict=True))
    if not change <= TOLERANCE:
        raise NotPlain(f"does more than a convolution, by which its outputs differ by {change:.2g} from one")
    return made.train(module.training)


class _Call(NamedTuple):
    """What a layer took and gave, and the one convolution that it called meanwhile."""

    x: Tensor
    output: Tensor
    taken: Tensor
    weight: Tensor
    bias: Tensor | None
    geometry: tuple[Sizes, Sizes | str, Sizes, int]
    """Stride, padding, dilation, groups."""


class _Convolutions(TorchFunctionMode):
    """Notes the arguments of each convolution."""

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
        raise NotPlain(f"does not run by itself ({first_line(error)})") from error
    if not isinstance(output, Tensor):
        raise NotPlain("gives no tensor")
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
    """``conv`` with the zeros that were put around the inputs of ``calls`` before it was called."""
    amounts = [_zeros_around(call) for call in calls]
    if len(set(amounts)) == 1:
        if not any(amounts[0]):
            return conv
        return PaddedConv(conv, amounts[0])
    if all(found == same_padding(call.x.shape[2:], conv) for found, call in zip(amounts, calls, strict=True)):
        return PaddedConv(conv, None)
    raise NotPlain("pads its input in a way that is not known")


def _zeros_around(call: _Call) -> Sizes:
    """How many zeros the convolution's input has around the layer's, as :func:`torch.nn.functional.pad` takes them."""
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
    """An input (2, C, ...) a little larger than the filter's extent, where the weights are."""
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
