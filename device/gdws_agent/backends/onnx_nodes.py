"""The nodes of an ONNX file, read without the package ``onnx``, which ONNX Runtime does not bring along.

Reads the few fields that tell the nodes from the wire format of protocol buffers, and skips all others: weights
are not touched. Field numbers are those of onnx.proto.
"""

from __future__ import annotations

from typing import Iterator, List, NamedTuple, Tuple, Union

_MODEL_GRAPH = 7
_GRAPH_NODE = 1
_NODE_INPUT, _NODE_OUTPUT, _NODE_NAME, _NODE_OPERATOR = 1, 2, 3, 4
_NODE_TEXTS = (_NODE_INPUT, _NODE_OUTPUT, _NODE_NAME, _NODE_OPERATOR)

_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5


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
    return [
        _node(node)
        for number, graph in _fields(memoryview(model))
        if number == _MODEL_GRAPH and isinstance(graph, memoryview)
        for inner, node in _fields(graph)
        if inner == _GRAPH_NODE and isinstance(node, memoryview)
    ]


def _node(data: memoryview) -> OnnxNode:
    texts = [
        (number, bytes(value).decode())
        for number, value in _fields(data)
        if number in _NODE_TEXTS and isinstance(value, memoryview)
    ]

    def all_of(wanted: int) -> Tuple[str, ...]:
        return tuple(text for number, text in texts if number == wanted)

    return OnnxNode(
        name="".join(all_of(_NODE_NAME)[-1:]),
        operator="".join(all_of(_NODE_OPERATOR)[-1:]),
        inputs=all_of(_NODE_INPUT),
        outputs=all_of(_NODE_OUTPUT),
    )


def _fields(data: memoryview) -> Iterator[Tuple[int, Union[int, memoryview]]]:
    """Yield number and value of each field of a message."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        value: Union[int, memoryview]
        if kind == _VARINT:
            value, at = _varint(data, at)
        else:
            if kind == _BYTES:
                size, at = _varint(data, at)
            elif kind in (_FIXED_64, _FIXED_32):
                size = 8 if kind == _FIXED_64 else 4
            else:
                raise ValueError(f"a field of the unknown kind {kind}")
            value, at = data[at : at + size], at + size
            if at > len(data):
                raise ValueError("a field goes on past the end")
        yield number, value


def _varint(data: memoryview, at: int) -> Tuple[int, int]:
    """Return the number that begins at ``at``, and where the next field does."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ValueError("a number goes on past the end")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, at
    raise ValueError("a number of more than ten bytes")
