"""Which networks torch2trt converts by its own converters, and the form in which it sees every call.

torch2trt replaces functions such as ``torch.add`` while it runs the module. A call that it does not see leaves a
tensor that it takes for a constant, and the engine is silently wrong. So a network is converted this way only if
every node is known here, in a form in which each call looks its function up at run time.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Callable, Collection, Dict, NamedTuple, Optional, Tuple

from gdws_agent.backends.torch.eager import EagerNetwork, Node

if TYPE_CHECKING:
    import torch

    Call = Callable[[torch.fx.Graph, torch.fx.Node, Any], torch.fx.Node]


class NativeForm(NamedTuple):
    """``network`` for torch2trt's own converters; None, and why, where they do not suffice."""

    network: Optional[EagerNetwork]
    reason: Optional[str] = None


#: Operator -> the class that its module must be of (a convolution with padding of its own is another), and the
#: function that torch2trt must have a converter for.
_MODULES: Dict[str, Tuple[str, str]] = {
    "Conv": ("Conv2d", "torch.nn.functional.conv2d"),
    "BatchNormalization": ("BatchNorm2d", "torch.nn.functional.batch_norm"),
    "Relu": ("ReLU", "torch.nn.functional.relu"),
    "Gemm": ("Linear", "torch.nn.functional.linear"),
    "MaxPool": ("MaxPool2d", "torch.nn.functional.max_pool2d"),
    "AveragePool": ("AvgPool2d", "torch.nn.functional.avg_pool2d"),
    "Flatten": ("Flatten", "torch.Tensor.flatten"),
}


def native_form(torch: Any, network: EagerNetwork, converters: Collection[str]) -> NativeForm:
    """Return ``network`` with every call visible to torch2trt, whose real converters are for ``converters``.

    The form computes the same function, and shares the weights of ``network``.
    """
    module = copy.copy(network.module)
    module.graph = copy.deepcopy(network.module.graph)
    for node in list(module.graph.nodes):
        if node.op != "call_module":
            continue
        target = str(node.target)
        called = module.get_submodule(target)
        operator = network.nodes.get(target, Node(target, type(called).__name__))
        rewrite = _rewrites(torch).get(operator.operator)
        function = _function(operator, called) if rewrite is None else rewrite[0]
        if function is None:
            return NativeForm(None, f"{operator.name} is a {operator.operator}, which has no converter")
        if function not in converters:
            return NativeForm(None, f"this torch2trt has no converter for {function}")
        if rewrite is None:
            continue
        call = rewrite[1](module.graph, node, called)
        if call is None:
            return NativeForm(None, f"{operator.name} is a {operator.operator} of a form without converter")
        node.replace_all_uses_with(call)
        module.graph.erase_node(node)
    module.graph.lint()
    module.recompile()
    return NativeForm(network._replace(module=module))


def _function(node: Node, called: torch.nn.Module) -> Optional[str]:
    kind, function = _MODULES.get(node.operator, (None, None))
    return function if type(called).__name__ == kind else None


def _rewrites(torch: Any) -> Dict[str, Tuple[str, Callable[..., Optional[torch.fx.Node]]]]:
    """Operator -> function that torch2trt must convert, and what puts a call of it in the place of a module's."""

    def add(graph: Any, node: Any, called: Any) -> Any:
        tensors = all(argument.op != "get_attr" for argument in node.args)
        return _call(graph, node, torch.add, node.args) if tensors else None

    def concatenate(graph: Any, node: Any, called: Any) -> Any:
        return _call(graph, node, torch.cat, (list(node.args), called.axis))

    def mean(graph: Any, node: Any, called: Any) -> Any:
        axes = called.axes
        return _call(graph, node, torch.mean, (node.args[0], tuple(axes), called.keepdims)) if axes else None

    def pool(graph: Any, node: Any, called: Any) -> Any:
        return _call(graph, node, torch.mean, (node.args[0], (2, 3), True))

    return {
        "Add": ("torch.add", add),
        "Concat": ("torch.cat", concatenate),
        "ReduceMean": ("torch.mean", mean),
        "GlobalAveragePool": ("torch.mean", pool),
    }


def _call(graph: torch.fx.Graph, node: torch.fx.Node, function: Any, arguments: Tuple[Any, ...]) -> torch.fx.Node:
    with graph.inserting_after(node):
        return graph.call_function(function, arguments)
