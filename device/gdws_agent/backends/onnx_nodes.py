"""The nodes of an ONNX file, read without the package ``onnx``, which ONNX Runtime does not depend on.

Reads the few fields that describe nodes and skips all others, weights among them. Field numbers are those
of onnx.proto.
"""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Tuple

from gdws_contract.protobuf import BYTES, VARINT, Field, Reader, fields

_MODEL_GRAPH = 7
_GRAPH_NODE = 1
_NODE_INPUT, _NODE_OUTPUT, _NODE_NAME, _NODE_OPERATOR = 1, 2, 3, 4


class OnnxNode(NamedTuple):
    """One node with the names of its tensors."""

    name: str
    operator: str
    inputs: Tuple[str, ...]
    outputs: Tuple[str, ...]


def read_nodes(model: bytes) -> List[OnnxNode]:
    """Return the nodes of ``model``'s main graph, in the order of the file.

    Raises:
        ValueError: it is not a protocol buffer.
    """
    reader = Reader([model])
    nodes: List[OnnxNode] = []
    for outer in fields(reader):
        if (outer.number, outer.kind) != (_MODEL_GRAPH, BYTES):
            _pass_over(reader, outer)
            continue
        for inner in fields(reader, outer.value):
            if (inner.number, inner.kind) == (_GRAPH_NODE, BYTES):
                nodes.append(_node(reader, inner.value))
            else:
                _pass_over(reader, inner)
    return nodes


def _node(reader: Reader, size: int) -> OnnxNode:
    texts: Dict[int, List[str]] = {_NODE_INPUT: [], _NODE_OUTPUT: [], _NODE_NAME: [], _NODE_OPERATOR: []}
    for found in fields(reader, size):
        if found.number in texts and found.kind == BYTES:
            texts[found.number].append(reader.take(found.value).decode())
        else:
            _pass_over(reader, found)
    return OnnxNode(
        name="".join(texts[_NODE_NAME][-1:]),
        operator="".join(texts[_NODE_OPERATOR][-1:]),
        inputs=tuple(texts[_NODE_INPUT]),
        outputs=tuple(texts[_NODE_OUTPUT]),
    )


def _pass_over(reader: Reader, found: Field) -> None:
    if found.kind != VARINT:
        reader.skip(found.value)
