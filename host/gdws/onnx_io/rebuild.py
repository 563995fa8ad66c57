"""ONNX -> a torch module of the same function, on which the surgery works as on any other.

The module is rebuilt by onnx2torch, node by node.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import onnx
import onnx.version_converter
from torch import nn

from gdws.errors import first_line
from gdws.onnx_io.batch import unfix_batch
from gdws.onnx_io.graph import drop_needless_allowzero, gather_constants
from gdws.onnx_io.parity import HINT, CannotRebuild
from gdws.onnx_io.ranks import declare_ranks
from gdws_contract.base import quotable_name

#: The newest opset whose operators onnx2torch knows; files of another one are converted to it where it helps.
_OPSET = 17


def rebuild(model: onnx.ModelProto, path: Path) -> nn.Module:
    """The module, in evaluation mode, for a model read from ``path``, which is changed; any batch size will do.

    Raises :class:`~gdws.onnx_io.parity.CannotRebuild`, naming the node, if an operator has no counterpart.
    """
    import onnx2torch  # takes a second: all its converters are imported

    _let_it_find_the_opset()
    model = _readable(model)
    problem = next(_problems(model), None)
    if problem is not None:
        raise CannotRebuild(f"{path}: {problem}", hint=HINT)
    for node in model.graph.node:
        node.name = quotable_name(node.name)  # it becomes a part of code that torch.fx writes and executes
    gather_constants(model)
    drop_needless_allowzero(model)
    unfix_batch(model)
    declare_ranks(model)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on constants that share memory
            module: nn.Module = onnx2torch.convert(model)
    except Exception as error:  # whatever its converters raise
        culprit = _culprit(model)
        where = "" if culprit is None else f"{culprit}: "
        raise CannotRebuild(f"{path} cannot be rebuilt: {where}{first_line(error)}", hint=HINT) from error
    return module.eval()


def _let_it_find_the_opset() -> None:
    """Have onnx2torch look the opset up where torch keeps it, which its operators need while they are exported.

    It asks ``torch.onnx.symbolic_helper``, which in newer releases of torch is the right module only until anything
    imports it by that name, and from then on one that has no opset.
    """
    from onnx2torch.utils import common

    if hasattr(common.symbolic_helper, "GLOBALS") or hasattr(common.symbolic_helper, "_export_onnx_opset_version"):
        return
    from torch.onnx._internal.torchscript_exporter import symbolic_helper

    common.symbolic_helper = symbolic_helper


def _readable(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model, or the same at another opset if that has operators which can be rebuilt and this has not."""
    if next(_problems(model), None) is None:
        return model
    try:
        other = onnx.version_converter.convert_version(model, _OPSET)
    except Exception:  # there is no way to that opset: what is wrong is told of the file as it is
        return model
    return other if next(_problems(other), None) is None else model


def _problems(model: onnx.ModelProto) -> Iterator[str]:
    """Each node that onnx2torch cannot convert, in words."""
    opsets = {each.domain: each.version for each in model.opset_import}
    constants = {tensor.name for tensor in model.graph.initializer}
    for index, node in enumerate(model.graph.node):
        if node.op_type in ("Conv", "ConvTranspose") and node.input[1] not in constants:
            weight = f"its weight {node.input[1]!r} depends on the input"
            yield f"{_called(node, index)} cannot be rebuilt: {weight}"
        if _converter(node.op_type, node.domain, opsets) is None:
            version = f"opset {opsets.get(node.domain, '?')}" + (f" of {node.domain!r}" if node.domain else "")
            yield f"{_called(node, index)} cannot be rebuilt: {version} of this operator is not known"


def _converter(operator: str, domain: str, opsets: Mapping[str, int]) -> Callable[..., Any] | None:
    from onnx2torch.node_converters import get_converter

    try:
        found: Callable[..., Any] = get_converter(operator, opsets[domain], domain)
    except (NotImplementedError, KeyError):
        return None
    return found


def _culprit(model: onnx.ModelProto) -> str | None:
    """The first node whose converter fails; None if all succeed."""
    from onnx2torch.onnx_graph import OnnxGraph
    from onnx2torch.utils.safe_shape_inference import safe_shape_inference

    inferred = safe_shape_inference(model)
    opsets = {each.domain: each.version for each in inferred.opset_import}
    graph = OnnxGraph(inferred.graph)
    nodes = list(graph.nodes.values())
    return next((_called(node.proto, i) for i, node in enumerate(nodes) if not _converts(node, graph, opsets)), None)


def _converts(node: Any, graph: Any, opsets: Mapping[str, int]) -> bool:
    convert = _converter(node.operation_type, node.domain, opsets)
    try:
        return convert is not None and convert(node, graph) is not None
    except Exception:  # as above: whatever it raises
        return False


def _called(node: Any, index: int) -> str:
    name = repr(node.name) if node.name else f"number {index + 1}, without a name,"
    return f"the node {name} ({node.op_type})"
