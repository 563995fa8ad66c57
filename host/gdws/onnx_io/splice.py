"""Export of a network of which a part is an ONNX graph: the part is traced as one node, which the graph replaces.

Converted convolutions are written as the nodes of GDWS layers. All other nodes and weights of the graph are taken as
they are, byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import onnx
import torch
from onnx import helper
from torch import Tensor, nn
from torch.nn import functional

from gdws._util.calls import observed
from gdws._util.copies import copied
from gdws._util.outputs import tensors_in
from gdws.compression.layers import replace as replace_modules
from gdws.onnx_io.convolutions import constants_of
from gdws.onnx_io.graph import drop_unused_initializers, rename_tensors, replace, unused
from gdws.onnx_io.graph_network import GraphNetwork
from gdws.onnx_io.pieces import Cut
from gdws.onnx_io.run import Array
from gdws.onnx_io.tracing import IR_VERSION, trace

_DOMAIN = "gdws"


class _StandIn(nn.Module):
    """Returns the outputs that it was created with, as one node in a trace."""

    def __init__(self, outputs: Sequence[Tensor]) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        outputs: tuple[Tensor, ...] = _OneNode.apply(images, self.outputs)
        return outputs[0] if len(outputs) == 1 else outputs


class _OneNode(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, outputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        return tuple(output.clone() for output in outputs)

    @staticmethod
    def symbolic(graph: Any, images: Any, outputs: Sequence[Tensor]) -> Any:
        made = graph.op(f"{_DOMAIN}::Graph", images, outputs=len(outputs))
        return made if isinstance(made, tuple | list) else (made,)


class _Pad(nn.Module):
    """Zeros around the last axes, as :func:`torch.nn.functional.pad` takes them."""

    def __init__(self, amounts: Sequence[int]) -> None:
        super().__init__()
        self.amounts = list(amounts)

    def forward(self, x: Tensor) -> Tensor:
        return functional.pad(x, self.amounts)


def traceable(network: nn.Module, images: Tensor) -> nn.Module:
    """``network``, or a copy for a trace of ``images`` in which an ONNX graph is one node, see :func:`splice_graph`."""
    inside = _graph_in(network)
    if inside is None:
        return network
    seen: list[list[Tensor]] = []
    with torch.no_grad(), observed([(inside, lambda module, x, output: seen.append(tensors_in(output)))]):
        network(images)
    copy = copied(network)
    return replace_modules(copy, {id(_graph_in(copy)): _StandIn(seen[0])})


def splice_graph(outer: onnx.ModelProto, network: nn.Module) -> None:
    """Put the graph of the :class:`~gdws.onnx_io.graph_network.GraphNetwork` in ``network`` into its trace ``outer``.

    Without one in ``network`` nothing changes. The result is at the opset of the graph.
    """
    inside = _graph_in(network)
    if inside is None:
        return
    inner = written(inside)
    [place] = [index for index, node in enumerate(outer.graph.node) if node.domain == _DOMAIN]
    placeholder = outer.graph.node[place]
    _part_names(outer.graph, inner.graph)
    before = [_link(outer.graph, placeholder.input[0], inner.graph.input[0].name, into=True)]
    pairs = list(zip(placeholder.output, inner.graph.output, strict=True))
    after = [_link(outer.graph, theirs, mine.name, into=False) for theirs, mine in pairs]
    nodes = list(outer.graph.node)
    replace(
        outer.graph.node,
        [*nodes[:place], *_given(before), *inner.graph.node, *_given(after), *nodes[place + 1 :]],
    )
    outer.graph.initializer.extend(inner.graph.initializer)
    _declare_outputs(outer.graph, inner.graph)
    replace(outer.opset_import, inner.opset_import)
    outer.functions.extend(inner.functions)
    outer.ir_version = IR_VERSION


def written(network: GraphNetwork) -> onnx.ModelProto:
    """The graph of ``network`` with those convolutions replaced that are no longer the ones that it came with."""
    model = onnx.ModelProto()
    model.CopyFrom(network.graph.model)
    cuts = {step.output: step for step in network.graph.steps if isinstance(step, Cut)}
    constants = constants_of(model)
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        cut = cuts.get(node.output[0]) if node.op_type == "Conv" else None
        layer = None if cut is None else network.get_submodule(cut.name)
        if cut is None or layer is None or _is_as_it_was(layer, node, constants):
            nodes.append(node)
            continue
        traced = _traced(network, cut, layer)
        nodes += traced.graph.node
        model.graph.initializer.extend(traced.graph.initializer)
    replace(model.graph.node, nodes)
    drop_unused_initializers(model.graph)
    del model.graph.value_info[:]
    return model


def _graph_in(network: nn.Module) -> GraphNetwork | None:
    return next((each for each in network.modules() if isinstance(each, GraphNetwork)), None)


def _is_as_it_was(layer: nn.Module, node: onnx.NodeProto, constants: Mapping[str, Array]) -> bool:
    if not isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        return False
    mine = [layer.weight] if layer.bias is None else [layer.weight, layer.bias]
    names = [name for name in node.input[1:] if name]
    if len(mine) != len(names):
        return False
    return all(torch.equal(p.detach().cpu(), torch.as_tensor(constants[n])) for p, n in zip(mine, names, strict=True))


def _traced(network: GraphNetwork, cut: Cut, layer: nn.Module) -> onnx.ModelProto:
    """The nodes of ``layer`` between the tensors of ``cut``, everything else named after the layer."""
    pads = network.graph.pads.get(cut.name)
    padded = layer if pads is None else nn.Sequential(_Pad(pads), layer)
    dilations, kernel, channels = (getattr(layer, name) for name in ("dilation", "kernel_size", "in_channels"))
    sizes = [2 * (dilation * (taps - 1) + 1) for dilation, taps in zip(dilations, kernel, strict=True)]
    traced = trace(padded, torch.zeros(1, channels, *sizes))
    graph = traced.graph
    names = {graph.input[0].name: cut.input, graph.output[0].name: cut.output}
    for tensor in (*(name for node in graph.node for name in node.output), *(each.name for each in graph.initializer)):
        names.setdefault(tensor, f"{cut.name}/{tensor}")
    rename_tensors(graph, names)
    for tensor in graph.initializer:
        tensor.name = names[tensor.name]
    for node in graph.node:
        node.name = f"{cut.name}/{node.name}"
    return traced


def _part_names(outer: onnx.GraphProto, inner: onnx.GraphProto) -> None:
    """Give tensors and nodes of ``outer`` names that ``inner`` does not use, but for its inputs and outputs."""
    ends = {value.name for value in (*outer.input, *outer.output)}
    linked = {value.name for value in (*inner.input, *inner.output)}
    mine = set(_tensors(inner))
    if clashing := ends & mine - linked:  # rare: the ends have the names that a bundle says
        taken = mine | ends
        rename_tensors(inner, {name: unused(name, taken) for name in sorted(clashing)})
    taken = mine | {node.name for node in inner.node}
    names = {name: unused(name, taken) for name in sorted(set(_tensors(outer)) - ends)}
    rename_tensors(outer, names)
    for tensor in outer.initializer:
        tensor.name = names.get(tensor.name, tensor.name)
    for node in outer.node:
        node.name = unused(node.name, taken)


def _link(outer: onnx.GraphProto, theirs: str, mine: str, *, into: bool) -> onnx.NodeProto | None:
    """Let the tensor ``theirs`` of ``outer`` be ``mine`` of the graph: by one name, or an ``Identity`` at its ends."""
    if theirs == mine:
        return None
    if theirs in {value.name for value in (outer.input if into else outer.output)}:
        source, target = (theirs, mine) if into else (mine, theirs)
        return helper.make_node("Identity", [source], [target], f"{target}/Identity")
    rename_tensors(outer, {theirs: mine})
    return None


def _declare_outputs(outer: onnx.GraphProto, inner: onnx.GraphProto) -> None:
    """Outputs of ``outer`` that come straight from the graph are of its types, which the trace did not know."""
    types = {value.name: value.type for value in inner.output}
    sources = {node.output[0]: node.input[0] for node in outer.node if node.op_type == "Identity"}
    for value in outer.output:
        found = types.get(value.name) or types.get(sources.get(value.name, ""))
        if found is not None:
            value.type.CopyFrom(found)
            value.type.tensor_type.shape.dim[0].dim_param = "batch"


def _tensors(graph: onnx.GraphProto) -> Iterator[str]:
    yield from (value.name for value in (*graph.input, *graph.output))
    yield from (tensor.name for tensor in graph.initializer)
    yield from (name for node in graph.node for name in (*node.input, *node.output) if name)


def _given(nodes: Iterable[onnx.NodeProto | None]) -> list[onnx.NodeProto]:
    return [node for node in nodes if node is not None]
