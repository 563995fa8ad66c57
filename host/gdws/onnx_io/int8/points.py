"""Which tensors of a graph are quantised, so that runtimes find whole layers to compute in INT8.

A runtime replaces ``DequantizeLinear -> layer -> QuantizeLinear`` by one integer kernel, an activation between the two
included. What it wants around other nodes differs:

- ONNX Runtime keeps a tensor in INT8 only if every node between two layers has such a pair on both sides, and takes an
  activation into its layer where the zero point says that nothing below 0 is left: zero points must be free.
- TensorRT reads zero points of 0 alone, finds by itself what may stay in INT8, and fuses ``layer -> Add -> activation``
  best where the other input of the sum is quantised and the layer's output is not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, get_args

import onnx

from gdws.errors import GdwsError
from gdws.onnx_io.int8.view import View, name_of

#: ``asymmetric``: zero points are free, for ONNX Runtime. ``symmetric``: they are 0, for TensorRT.
Scheme = Literal["asymmetric", "symmetric"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)

#: What a runtime computes in one go with the layer before it.
_ACTIVATIONS = frozenset({"Relu", "Clip"})
#: What moves values and does not change them: the output has the scale of the input.
_MOVES = frozenset(
    {"Flatten", "Gather", "Identity", "MaxPool", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"}
)
#: What ONNX Runtime computes in integers besides layers, where inputs and outputs are quantised.
_ARITHMETIC = frozenset({"Add", "AveragePool", "Concat", "GlobalAveragePool"})


@dataclass(frozen=True)
class Points:
    """Where a graph is quantised.

    ``layers`` are the outputs of the nodes whose weights are. ``tensors`` has each activation that is, with the one
    whose scale it takes: its own, or that of the tensor whose values it holds.
    """

    layers: tuple[str, ...]
    tensors: dict[str, str]


def find_points(model: onnx.ModelProto, scheme: Scheme, skip: Collection[str] = ()) -> Points:
    """Where to quantise ``model``; layers stay in floating point whose name, or a module's around them, is in ``skip``.

    Raises :class:`~gdws.errors.GdwsError` if one of ``skip`` is no such name.
    """
    view = View(model)
    layers = [node for node in view.nodes if view.is_layer(node)]
    for pattern in skip:
        if not any(is_within(name_of(node), pattern) for node in layers):
            known = ", ".join(name_of(node) for node in layers)
            raise GdwsError(f"the network has no layer {pattern!r} to leave in floating point", hint=f"it has: {known}")
    layers = [node for node in layers if not any(is_within(name_of(node), pattern) for pattern in skip)]
    chosen = {node.input[0] for node in layers}
    if scheme == "asymmetric":
        chosen |= {_after_activation(view, node.output[0]) for node in layers}
        chosen = _spread(view, chosen)
    else:
        chosen |= set(_summands(view, chosen))
    chosen |= set(_sources(view, chosen))
    chosen = {tensor for tensor in chosen if tensor not in view.constants and tensor not in view.outputs}
    moved = {
        node.output[0]: node.input[0]
        for node in view.nodes
        if node.op_type in _MOVES and node.input[0] in chosen and node.output[0] not in view.outputs
    }
    if scheme == "asymmetric":
        chosen |= set(moved)
        moved |= {name: node.output[0] for node in view.nodes for name in _parts(view, node)}
    return Points(
        tuple(node.output[0] for node in layers),
        {tensor: _source(tensor, moved, chosen) for tensor in sorted(chosen)},
    )


def is_within(name: str, pattern: str) -> bool:
    """Whether the layer ``name`` is the module ``pattern`` (a shell pattern), or a part of it."""
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")


def _parts(view: View, node: onnx.NodeProto) -> list[str]:
    """What ``node`` alone puts together: on the grid of the whole it is copied, not rounded once more."""
    if node.op_type != "Concat" or node.output[0] in view.outputs:
        return []
    return [name for name in node.input if view.sole_consumer(name) is node]


def _after_activation(view: View, tensor: str) -> str:
    """The tensor after the activation that alone follows ``tensor``, if one does."""
    user = view.sole_consumer(tensor)
    return user.output[0] if user is not None and user.op_type in _ACTIVATIONS else tensor


def _spread(view: View, chosen: set[str]) -> set[str]:
    """``chosen``, with what nodes of arithmetic that touch it take and give."""
    while True:
        found = set(chosen)
        for node in view.nodes:
            ends = {_after_activation(view, node.output[0])} if node.op_type in _ARITHMETIC else set(node.output[:1])
            if node.op_type in _ARITHMETIC and found & {*node.input, *ends}:
                found |= {name for name in node.input if name and name not in view.constants} | ends
            elif node.op_type in _MOVES and node.input[0] in found:
                found |= ends
        if found == chosen:
            return found
        chosen = found


def _summands(view: View, chosen: set[str]) -> Iterator[str]:
    """Of each sum whose result is quantised, the input that does not come from a layer, if the other one does."""
    for node in view.nodes:
        if node.op_type == "Add" and {node.output[0], _after_activation(view, node.output[0])} & chosen:
            from_layer = [name in view.producer and view.is_layer(view.producer[name]) for name in node.input]
            if any(from_layer) and not all(from_layer):
                yield node.input[from_layer.index(False)]


def _sources(view: View, chosen: set[str]) -> Iterator[str]:
    """What nodes that only move values make ``chosen`` from."""
    for tensor in chosen:
        while (node := view.producer.get(tensor)) is not None and node.op_type in _MOVES:
            tensor = node.input[0]
            yield tensor


def _source(tensor: str, moved: dict[str, str], chosen: set[str]) -> str:
    while tensor in moved and moved[tensor] in chosen:
        tensor = moved[tensor]
    return tensor
