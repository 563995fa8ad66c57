"""ONNX -> the same network as an eager torch module, for the backends that start from one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, NamedTuple, Optional, Sequence, Tuple

from gdws_agent.backends.base import EngineSpec
from gdws_agent.backends.errors import in_one_line
from gdws_agent.backends.interface import Tensor, check_interface
from gdws_agent.backends.quantised import refuse_quantised
from gdws_agent.errors import BackendUnavailable, BuildFailed
from gdws_contract.base import quotable_name

if TYPE_CHECKING:
    import torch

PACKAGES = ("torch", "onnx", "onnx2torch")
INSTALL_HINT = (
    "install what is missing into the agent's environment: pip install onnx2torch; on a Jetson, torch and "
    "torchvision come with the dustynv/l4t-pytorch images and must not be replaced by those of PyPI"
)


class Node(NamedTuple):
    """A node of the ONNX file."""

    name: str
    operator: str


class EagerNetwork(NamedTuple):
    """``module`` is a graph whose calls are the nodes; ``nodes`` tells which, by the target of the call.

    It gives the tensor of its one output, or a sequence of tensors in the order of ``outputs``, their names.
    """

    module: torch.fx.GraphModule
    nodes: Dict[str, Node]
    outputs: Tuple[str, ...]


def eager_network(model: bytes, spec: EngineSpec) -> EagerNetwork:
    """Return the network of ``model``, the bytes of an ONNX file: in evaluation mode.

    Weights are in float32, on the CPU. Each node becomes one module, called in the order of the file.

    Raises:
        BackendUnavailable: torch, onnx or onnx2torch cannot be loaded.
        PrecisionUnsupported: the model is quantised.
        BuildFailed: the file is not valid ONNX, has another interface, or an operator that onnx2torch lacks.
    """
    refuse_quantised(model)
    try:
        import onnx
        import onnx2torch
    except Exception as error:  # also what a broken installation raises: a missing library, an ABI that differs
        raise BackendUnavailable(f"onnx2torch cannot be loaded: {error}", hint=INSTALL_HINT) from error
    _let_it_find_the_opset()
    try:
        graph = onnx.load_from_string(model)
        onnx.checker.check_model(graph)
    except Exception as error:  # the parser of protocol buffers and the checker share no base
        raise BuildFailed(f"the model is not valid ONNX: {in_one_line(error)}") from error
    outputs = tuple(value.name for value in graph.graph.output)
    _check_graph(onnx, graph, outputs, spec)
    nodes = _named_for_torch(graph)
    try:
        module = onnx2torch.convert(graph)
    except Exception as error:  # whatever its converters raise
        raise BuildFailed(f"the model cannot be rebuilt as a torch module: {in_one_line(error)}") from error
    return EagerNetwork(module.eval(), nodes, outputs)


def _let_it_find_the_opset() -> None:
    """Have onnx2torch ask for the opset where torch keeps it: torch2trt may export what it rebuilt.

    It asks ``torch.onnx.symbolic_helper``. In newer releases of torch that is the right module until anything imports
    it by that name, and from then on one that has no opset.
    """
    from onnx2torch.utils import common

    if hasattr(common.symbolic_helper, "GLOBALS") or hasattr(common.symbolic_helper, "_export_onnx_opset_version"):
        return
    from torch.onnx._internal.torchscript_exporter import symbolic_helper

    common.symbolic_helper = symbolic_helper


def _named_for_torch(model: Any) -> Dict[str, Node]:
    """Give each node a name that torch.fx can write into code, and return the nodes as they were called, by module.

    Torch knows modules by paths with dots, so onnx2torch writes the dots of a name as slashes.
    """
    nodes: Dict[str, Node] = {}
    for node in model.graph.node:
        if node.name:
            called = Node(node.name, node.op_type)
            node.name = quotable_name(node.name)
            nodes[node.name.replace(".", "/")] = called
    return nodes


def _check_graph(onnx: Any, model: Any, outputs: Sequence[str], spec: EngineSpec) -> None:
    initializers = {tensor.name for tensor in model.graph.initializer}
    inputs = [_tensor(onnx, value) for value in model.graph.input if value.name not in initializers]
    check_interface(inputs, outputs, spec)


def _tensor(onnx: Any, value: Any) -> Tensor:
    kind = value.type.tensor_type
    axes = [_size(axis) for axis in kind.shape.dim]
    return Tensor(value.name, onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).name, axes)


def _size(axis: Any) -> Optional[int]:
    return int(axis.dim_value) if axis.HasField("dim_value") else None
