"""Analyses what a network does to the channels of its tensors, by tracing it with torch.fx and running it once.

Unknown operations keep all their input and output channels, which is safe.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from gdws.errors import ModelError, first_line
from gdws.networks.slimming.channels import Channels, Groups, concatenated
from gdws.networks.slimming.reading import Reader, constants_made, pads_with_zeros
from gdws.networks.zoo.normalise import Normalise

#: Elementwise layers, which map a constant to a constant.
_ELEMENTWISE = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Softplus),
    *(nn.Sigmoid, nn.Tanh, nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid, nn.Identity, nn.Dropout, nn.Dropout2d),
)
_ELEMENTWISE_CALLS: tuple[Any, ...] = (
    *(functional.relu, functional.relu6, functional.leaky_relu, functional.elu, functional.gelu, functional.silu),
    *(functional.hardswish, functional.hardsigmoid, functional.mish, torch.relu, torch.sigmoid, torch.tanh),
    *("relu", "relu_", "sigmoid", "tanh", "contiguous", "clone"),
)
_POOLS = (nn.MaxPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)
_POOL_CALLS: tuple[Any, ...] = (functional.max_pool2d, functional.adaptive_avg_pool2d, functional.adaptive_max_pool2d)
_SUMS: tuple[Any, ...] = (operator.add, operator.iadd, torch.add, "add", "add_")
_FLATTENS: tuple[Any, ...] = (torch.flatten, "flatten", "view", "reshape", torch.reshape)
_MEANS: tuple[Any, ...] = (torch.mean, "mean")


@dataclass(eq=False)
class Analysis:
    """The channels of a network: their groups, their readers, and the layers that pass them on.

    ``passing`` has the normalisation layers and depthwise convolutions, with the channels of their inputs.
    """

    groups: Groups = field(default_factory=Groups)
    readers: list[Reader] = field(default_factory=list)
    passing: list[tuple[nn.BatchNorm2d | nn.Conv2d, Channels]] = field(default_factory=list)


def analyse(network: nn.Module, image: Tensor) -> Analysis:
    """Analyse ``network``, in evaluation mode, on one image (1, C, H, W).

    Raises :class:`~gdws.errors.ModelError` if it cannot be traced.
    """
    try:
        tracer = _Tracer()
        graph = tracer.trace(network)
    except Exception as error:  # whatever the network's code raises when its tensors are symbols
        raise ModelError(
            f"the network's code cannot be traced: {first_line(error)}",
            hint="its control flow depends on values of tensors; leave out --slim",
        ) from error
    found = Analysis()
    _Walk(fx.GraphModule(tracer.root, graph), network, found).run(image)
    return found


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        rebuilt = m.__module__.startswith("onnx2torch")  # their code asks for values
        return rebuilt or isinstance(m, Normalise) or super().is_leaf_module(m, module_qualified_name)


class _Walk(fx.Interpreter):
    """Runs the network and records the channels of each tensor."""

    def __init__(self, traced: fx.GraphModule, network: nn.Module, found: Analysis) -> None:
        super().__init__(traced)
        self.found = found
        self.channels: dict[fx.Node, Channels] = {}
        self.shapes: dict[fx.Node, torch.Size] = {}
        self.shared = _shared_layers(traced.graph, network)

    @torch.no_grad()
    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        tensors = [node for node in n.all_input_nodes if node in self.channels]
        if n.op == "output":
            self._keep(tensors)
        elif isinstance(result, Tensor) and result.ndim >= 2:
            self.shapes[n] = result.shape
            made = self._passed_on(n, tensors) if n.op != "placeholder" else None
            if made is None or len(made.groups) != result.shape[1]:
                self._keep(tensors)
                made = self._new(result.shape[1])
                self.found.groups.pin(made.groups)
            self.channels[n] = made
            if self._in_place(n):
                self.channels[n.all_input_nodes[0]] = made
        elif not _asks_for_batch_alone(n):
            self._keep(tensors)
        return result

    def _in_place(self, node: fx.Node) -> bool:
        """Whether a node modifies its first input in place."""
        layer = self.fetch_attr(str(node.target)) if node.op == "call_module" else None
        changes = getattr(layer, "inplace", False) or node.kwargs.get("inplace") is True
        named = node.op == "call_method" and str(node.target).endswith("_")
        return bool(node.all_input_nodes) and (bool(changes) or named or node.target is operator.iadd)

    def _keep(self, nodes: list[fx.Node]) -> None:
        for node in nodes:
            self.found.groups.pin(self.channels[node].groups)

    def _new(self, count: int) -> Channels:
        return Channels(self.found.groups.new(count), torch.full((count,), torch.nan, dtype=torch.float64))

    def _passed_on(self, node: fx.Node, tensors: list[fx.Node]) -> Channels | None:
        """The channels of the node's result; None if the operation is unknown."""
        if node.op == "call_module":
            layer = self.fetch_attr(str(node.target))
            if len(tensors) != 1 or len(node.args) != 1 or node.kwargs or node.target in self.shared:
                return None
            if isinstance(layer, nn.Conv2d | nn.Linear) and "weight" not in layer._parameters:
                return None  # it is computed, e.g. masked, and would be so again
            return self._through(layer, node, self.channels[tensors[0]])
        if node.op not in ("call_function", "call_method"):
            return None
        if node.target in _SUMS and len(tensors) == len(node.args) == 2 and not node.kwargs:
            return self._sum(*tensors)
        if node.target in (torch.cat, torch.concat) and _axis(node) == 1:
            parts = cast("Sequence[fx.Node]", node.args[0])
            return (
                concatenated([self.channels[part] for part in parts]) if tensors == list(dict.fromkeys(parts)) else None
            )
        if len(tensors) != 1 or not node.args or node.args[0] is not tensors[0]:
            return None
        return self._called(node, tensors[0])

    def _through(self, layer: nn.Module, node: fx.Node, given: Channels) -> Channels | None:
        if type(layer) in _ELEMENTWISE:
            return _mapped(given, layer)
        if type(layer) is nn.BatchNorm2d and layer.running_mean is not None:
            self.found.passing.append((layer, given))
            return _mapped(given, layer)
        if type(layer) in _POOLS and not getattr(layer, "return_indices", False):
            return given
        if type(layer) is nn.AvgPool2d:
            return given if layer.padding in (0, (0, 0)) and layer.divisor_override is None else _zeros_kept(given)
        if type(layer) is nn.Flatten and layer.start_dim == 1:
            return self._flattened(node, given)
        if isinstance(layer, nn.Conv2d | nn.Linear) and _mixes(layer, self.shapes[node]):
            made = self._new(len(layer.weight)).with_constants(constants_made(layer, given.constants))
            self.found.readers.append(Reader(layer, given, made))
            return made
        if type(layer) is nn.Conv2d and layer.groups == layer.in_channels == layer.out_channels:
            self.found.passing.append((layer, given))
            return given.with_constants(_depthwise(layer, given.constants))
        return None

    def _called(self, node: fx.Node, tensor: fx.Node) -> Channels | None:
        given = self.channels[tensor]
        if node.target in _ELEMENTWISE_CALLS:
            return _mapped(given, lambda x: self._again(node, x))
        if node.target is functional.dropout or node.target in _POOL_CALLS:
            return given
        if node.target is functional.avg_pool2d:
            return _zeros_kept(given)
        if node.target in _FLATTENS and _keeps_batch(node):
            return self._flattened(node, given)
        if node.target in _MEANS and self.shapes[node][:2] == self.shapes[tensor][:2] and len(self.shapes[tensor]) == 4:
            return given
        if node.target is operator.getitem and isinstance(node.args[1], tuple):
            return given if node.args[1][:2] == (slice(None), slice(None)) else None
        return None

    def _again(self, node: fx.Node, x: Tensor) -> Tensor:
        """The result of an elementwise node for another tensor."""
        if node.op == "call_method":
            result: Tensor = getattr(x, str(node.target))(*node.args[1:], **node.kwargs)
        else:
            assert callable(node.target)
            result = node.target(x, *node.args[1:], **node.kwargs)
        return result

    def _sum(self, one: fx.Node, other: fx.Node) -> Channels | None:
        if self.shapes[one][1] != self.shapes[other][1] or len(self.shapes[one]) != len(self.shapes[other]):
            return None
        mine, theirs = self.channels[one], self.channels[other]
        self.found.groups.merge(mine.groups, theirs.groups)
        return mine.with_constants(mine.constants + theirs.constants)

    def _flattened(self, node: fx.Node, given: Channels) -> Channels | None:
        features = self.shapes[node][1]
        if len(self.shapes[node]) != 2 or features % len(given.groups):
            return None
        each = features // len(given.groups)
        return Channels(given.groups.repeat_interleave(each), given.constants.repeat_interleave(each))


def _shared_layers(graph: fx.Graph, network: nn.Module) -> set[str]:
    """Layers with weights or statistics that are called more than once, or that hold a weight with another layer."""
    calls = Counter(node.target for node in graph.nodes if node.op == "call_module")
    holders = Counter(id(each) for module in network.modules() for each in module._parameters.values())
    return {
        name
        for name, module in network.named_modules()
        if (calls[name] > 1 and module.state_dict()) or any(holders[id(each)] > 1 for each in module.parameters())
    }


def _mixes(layer: nn.Conv2d | nn.Linear, made: torch.Size) -> bool:
    """Whether each output of a plain layer may depend on each channel of its input."""
    if type(layer) is nn.Linear:
        return len(made) == 2
    return type(layer) is nn.Conv2d and layer.groups == 1


def _mapped(given: Channels, function: Callable[[Tensor], Tensor]) -> Channels:
    """What a function of single elements, or of elements by channel, makes of the constants."""
    # As float32, since the function may hold weights; what it loses is rounding that the network does, too.
    values = function(given.constants.float()[None, :, None, None].clone())
    return given.with_constants(values.flatten().double())


def _zeros_kept(given: Channels) -> Channels:
    """Pooling that averages over padding makes an edge of a constant."""
    return given.with_constants(given.constants.masked_fill(given.constants != 0, torch.nan))


def _depthwise(layer: nn.Conv2d, constants: Tensor) -> Tensor:
    weight = layer.weight.detach().cpu().double().flatten(1)
    if pads_with_zeros(layer):
        constants = constants.masked_fill(constants != 0, torch.nan)
    values = (weight.sum(dim=1) * constants).masked_fill((weight == 0).all(dim=1), 0.0)
    return values if layer.bias is None else values + layer.bias.detach().cpu().double()


def _axis(node: fx.Node) -> Any:
    return node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", node.kwargs.get("axis", 0))


def _keeps_batch(node: fx.Node) -> bool:
    """Whether a reshaping leaves the batch and says nothing about the number of channels."""
    spread = node.args[1:]
    arguments = spread[0] if len(spread) == 1 and isinstance(spread[0], tuple | list) else spread
    if node.target in (torch.flatten, "flatten"):
        start = arguments[0] if arguments else node.kwargs.get("start_dim", 0)
        return bool(start == 1 and len(arguments) < 2 and "end_dim" not in node.kwargs)
    return bool(len(arguments) == 2 and isinstance(arguments[0], fx.Node) and arguments[1] == -1)


def _asks_for_batch_alone(node: fx.Node) -> bool:
    """Whether a node that gives no tensor tells the batch size, and nothing of the channels."""
    if node.op == "call_method" and node.target == "size" and len(node.args) == 2:
        return bool(node.args[1] == 0)
    shape = node.target == "size" or (node.target is getattr and node.args[1] == "shape")
    return bool(shape and all(user.target is operator.getitem and user.args[1] == 0 for user in node.users))
