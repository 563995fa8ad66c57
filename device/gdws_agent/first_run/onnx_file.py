"""Writing ONNX files without the package ``onnx``, which no image of the agent brings along.

Writes the few fields that a network of convolutions needs, in the wire format of protocol buffers. Field numbers
are those of onnx.proto; :mod:`gdws_agent.backends.onnx_nodes` reads the same ones.
"""

from __future__ import annotations

from typing import Mapping, NamedTuple, Sequence, Tuple, Union

import numpy as np

#: What TensorRT 8.5 and ONNX Runtime for Python 3.8 read.
OPSET = 17
IR_VERSION = 8

_FLOAT, _INT64 = 1, 7
_ELEMENT_TYPES = {"float32": _FLOAT, "int64": _INT64}
_ATTRIBUTE_INT, _ATTRIBUTE_INTS = 2, 7
_VARINT, _BYTES = 0, 2

Attribute = Union[int, Sequence[int]]


class Node(NamedTuple):
    """One operator; ``name`` is ``<path of the module>/<operator>``, as in bundles."""

    name: str
    operator: str
    inputs: Sequence[str]
    output: str
    attributes: Mapping[str, Attribute] = {}


class Value(NamedTuple):
    """An input or output of the graph in float32; its batch axis is open and not in ``shape``."""

    name: str
    shape: Tuple[int, ...]


def write_model(
    name: str, nodes: Sequence[Node], weights: Mapping[str, np.ndarray], input_: Value, output: Value
) -> bytes:
    """Return the bytes of an ONNX file; ``weights`` are float32 or int64 arrays by the names that nodes use.

    Raises:
        KeyError: a weight is of another type.
    """
    graph = b"".join(
        [
            *(_field(1, _node(node)) for node in nodes),
            _text(2, name),
            *(_field(5, _tensor(key, array)) for key, array in weights.items()),
            _field(11, _value(input_)),
            _field(12, _value(output)),
        ]
    )
    return _number(1, IR_VERSION) + _text(2, "gdws-agent") + _field(7, graph) + _field(8, _number(2, OPSET))


def _node(node: Node) -> bytes:
    return b"".join(
        [
            *(_text(1, name) for name in node.inputs),
            _text(2, node.output),
            _text(3, node.name),
            _text(4, node.operator),
            *(_field(5, _attribute(key, value)) for key, value in node.attributes.items()),
        ]
    )


def _attribute(name: str, value: Attribute) -> bytes:
    if isinstance(value, int):
        return _text(1, name) + _number(3, value) + _number(20, _ATTRIBUTE_INT)
    return _text(1, name) + b"".join(_number(8, each) for each in value) + _number(20, _ATTRIBUTE_INTS)


def _tensor(name: str, array: np.ndarray) -> bytes:
    dims = b"".join(_number(1, axis) for axis in array.shape)
    content = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    return dims + _number(2, _ELEMENT_TYPES[array.dtype.name]) + _text(8, name) + _field(9, content)


def _value(value: Value) -> bytes:
    axes = [_text(2, "batch"), *(_number(1, axis) for axis in value.shape)]
    shape = b"".join(_field(1, axis) for axis in axes)
    return _text(1, value.name) + _field(2, _field(1, _number(1, _FLOAT) + _field(2, shape)))


def _text(number: int, text: str) -> bytes:
    return _field(number, text.encode())


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(content)) + content


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3 | _VARINT) + _varint(value)


def _varint(value: int) -> bytes:
    """Return ``value``, not negative, in groups of seven bits, the lowest first."""
    encoded = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        encoded.append(low | (0x80 if value else 0))
        if not value:
            return bytes(encoded)
