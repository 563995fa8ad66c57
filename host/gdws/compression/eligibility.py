"""Which layers GDWS can replace, and why not the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.parameter import is_lazy

from gdws.compression.layers import Conv
from gdws.compression.plain import NotPlain, as_plain, is_odd
from gdws.errors import ModelError

#: The layers that have a weight of their own: any convolution, and linear layers.
Weighted: TypeAlias = _ConvNd | nn.Linear

#: Index for a module other than a convolution or linear layer among the holders of a weight.
FOREIGN = -1

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def structural_reason(module: Weighted) -> str | None:
    """Why a layer cannot be converted, whatever the user wants; None if it can."""
    if isinstance(module, nn.Linear):
        return "linear"
    if isinstance(module, _ConvTransposeNd):
        return "transposed convolution"
    if not isinstance(module, nn.Conv1d | nn.Conv2d):
        return "3D convolution"
    if is_odd(module):
        return _odd_reason(module)
    if module.groups > 1:
        return "depthwise convolution" if module.groups == module.in_channels else "grouped convolution"
    if set(module.kernel_size) == {1}:
        return "1x1 kernel"
    if not module.weight.is_floating_point():
        return f"its weight is {_number_of(module.weight)}, not real"
    if module.weight.dtype.itemsize < 2:
        return f"its weight is {_number_of(module.weight)}; make it float32 first"
    if any(getattr(module, hooks) for hooks in _HOOKS):
        return "it has hooks, which may read its weight; remove them first"
    return None


def _odd_reason(module: Conv) -> str | None:
    name = type(module).__name__
    try:
        as_plain(module)
    except NotPlain as error:
        return f"not a plain convolution: a {name}, which {error}"
    return f"not a plain convolution: a {name}; apply gdws.compression.plain first"


def require_weights(model: nn.Module) -> None:
    """Raise :class:`~gdws.errors.ModelError` if a weight of the network has no values, or is sparse.

    Lazy layers, which get their weights when they first run, are ignored.
    """
    tensors = [item for item in (*model.named_parameters(), *model.named_buffers()) if not is_lazy(item[1])]
    absent = [name for name, tensor in tensors if tensor.is_meta or isinstance(tensor, FakeTensor)]
    if absent:
        others = f" and {len(absent) - 1} others" if len(absent) > 1 else ""
        raise ModelError(
            f"the network has no values for {absent[0]!r}{others}: they are on torch's meta device, or fake",
            hint="load the weights with load_state_dict(weights, assign=True), or build it on another device",
        )
    sparse = [name for name, tensor in tensors if tensor.layout is not torch.strided]
    if sparse:
        raise ModelError(
            f"{sparse[0]!r} is a sparse tensor", hint="convert it: nn.Parameter(weight.detach().to_dense())"
        )


def matching(all_names: Sequence[Sequence[str]], patterns: Sequence[str]) -> set[int]:
    """Indices of the layers that match a name or shell pattern, or are in a container that does.

    ``all_names`` has the names of each layer. Raises :class:`~gdws.errors.ModelError` if a pattern matches
    no layer.
    """
    matched: set[int] = set()
    for pattern in patterns:
        found = {i for i, names in enumerate(all_names) if any(_stands_for(pattern, name) for name in names)}
        if not found:
            known = ", ".join(names[0] for names in all_names)
            raise ModelError(f"no layer matches {pattern!r}", hint=f"the layers are: {known}")
        matched |= found
    return matched


def weight_holders(model: nn.Module, layers: Sequence[Weighted]) -> dict[int, list[int]]:
    """Indices of the layers that have each parameter as their weight, by identity of the parameter.

    :data:`FOREIGN` is the index of any other holder.
    """
    positions = {id(layer): index for index, layer in enumerate(layers)}
    holders: dict[int, list[int]] = {}
    for module in model.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                position = positions.get(id(module), FOREIGN) if name == "weight" else FOREIGN
                holders.setdefault(id(parameter), []).append(position)
    return holders


def sharing_reasons(
    holders: Mapping[int, Sequence[int]], reasons: Sequence[str | None], names: Sequence[str]
) -> list[str | None]:
    """Return ``reasons``, extended to layers that share their weight with one that is not converted."""
    extended = list(reasons)
    for sharing in holders.values():
        staying = [index for index in sharing if index == FOREIGN or reasons[index] is not None]
        if len(sharing) == 1 or not staying:
            continue
        keeper = "another module" if staying[0] == FOREIGN else repr(names[staying[0]])
        for index in sharing:
            if index != FOREIGN and extended[index] is None:
                extended[index] = f"shares its weight with {keeper}, which is not converted"
    return extended


def _number_of(weight: Tensor) -> str:
    return str(weight.dtype).removeprefix("torch.")


def _stands_for(pattern: str, name: str) -> bool:
    parts = name.split(".")
    return any(fnmatchcase(".".join(parts[:end]), pattern) for end in range(1, len(parts) + 1))
