"""An ONNX graph cut at some of its nodes into pieces that a runtime runs.

Nodes keep their order. So what a piece needs was made by pieces and cut nodes before it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import onnx
from onnx import helper

from gdws.onnx_io.graph import used_by


class CannotSplit(ValueError):
    """A piece could not be run by itself."""


@dataclass(frozen=True)
class Cut:
    """A node that was cut out: ``name`` is its layer's, ``input`` and ``output`` are tensors of the graph."""

    name: str
    input: str
    output: str


@dataclass(frozen=True, eq=False)
class Piece:
    """Nodes between cuts, as a model of its own."""

    model: onnx.ModelProto

    @property
    def inputs(self) -> list[str]:
        """The tensors that it needs."""
        return [value.name for value in self.model.graph.input]

    @property
    def outputs(self) -> list[str]:
        """The tensors that later steps, or the graph's outputs, need of it."""
        return [value.name for value in self.model.graph.output]

    def content(self) -> bytes:
        """The model as the bytes of a file."""
        content: bytes = self.model.SerializeToString()
        return content


Step: TypeAlias = Cut | Piece


def split(model: onnx.ModelProto, names: Mapping[int, str]) -> list[Step]:
    """The steps that compute what ``model`` does, with the nodes at the indices in ``names`` cut out.

    A cut node has one input, its first, that is not a constant. Raises :class:`CannotSplit` if the type of a tensor
    between two steps cannot be told.
    """
    return _steps(model, list(_groups(model.graph.node, names)), set())


def split_after(model: onnx.ModelProto, tensors: Collection[str]) -> list[Piece]:
    """Pieces that compute what ``model`` does one after the other, each of ``tensors`` by the last node of a piece.

    All of ``tensors`` are outputs of their pieces. Raises :class:`CannotSplit` if the type of a tensor between two
    pieces cannot be told.
    """
    groups: list[list[onnx.NodeProto]] = [[]]
    for node in model.graph.node:
        groups[-1].append(node)
        if not set(tensors).isdisjoint(node.output):
            groups.append([])
    steps = _steps(model, [group for group in groups if group], set(tensors))
    return [step for step in steps if isinstance(step, Piece)]  # all of them are


def _steps(model: onnx.ModelProto, groups: Sequence[Cut | list[onnx.NodeProto]], needed: set[str]) -> list[Step]:
    """The steps of ``groups``, whose pieces give what later ones and the graph's outputs need, and ``needed``."""
    needed = needed | {value.name for value in model.graph.output}
    types = _types(model)
    steps: list[Step] = []
    for group in reversed(groups):
        if isinstance(group, Cut):
            steps.append(group)
            needed.add(group.input)
            continue
        piece = _piece(model, group, needed, types)
        steps.append(piece)
        needed |= set(piece.inputs)
    return steps[::-1]


def _groups(nodes: Sequence[onnx.NodeProto], names: Mapping[int, str]) -> Iterator[Cut | list[onnx.NodeProto]]:
    pending: list[onnx.NodeProto] = []
    for index, node in enumerate(nodes):
        if index not in names:
            pending.append(node)
            continue
        if pending:
            yield pending
            pending = []
        yield Cut(names[index], node.input[0], node.output[0])
    if pending:
        yield pending


def _piece(
    model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto], needed: set[str], types: Mapping[str, int]
) -> Piece:
    made = {name for node in nodes for name in node.output if name}
    used = set[str]().union(*map(used_by, nodes))
    constants = [tensor for tensor in model.graph.initializer if tensor.name in used]
    known = made | {tensor.name for tensor in constants}
    given = sorted(name for name in used - known if name and name in types)
    if unknown := sorted(name for name in needed & made if name not in types):
        raise CannotSplit(f"the type of {unknown[0]!r} is not known")
    graph = helper.make_graph(
        nodes,
        "piece",
        [helper.make_tensor_value_info(name, types[name], None) for name in given],
        [helper.make_tensor_value_info(name, types[name], None) for name in sorted(needed & made)],
        constants,
    )
    piece = helper.make_model(graph, opset_imports=model.opset_import, functions=model.functions)
    piece.ir_version = model.ir_version
    return Piece(piece)


def _types(model: onnx.ModelProto) -> dict[str, int]:
    """The element type of each tensor of the graph itself; bodies of loops have names of their own."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    values = (*graph.input, *graph.value_info, *graph.output)
    return {value.name: value.type.tensor_type.elem_type for value in values if value.type.HasField("tensor_type")}
