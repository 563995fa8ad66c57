"""Whether an ONNX file is nothing but a network: data and ONNX's own operators, all of it inside the file.

Runtimes do more with a file than compute: they open the files that tensors name as their data, load an engine from
the file that an ``EPContext`` node names, make plugins by the name of an operator, call files after a graph, and may
take their settings from the model's metadata. So each file of a bundle is walked before any runtime sees it. The walk
is strict, see :mod:`gdws_contract.protobuf`; a field that is not known is refused, as another parser may know it. It
is bounded in depth and in fields, takes a block of memory at a time, and passes over weights without looking at them.
"""

from __future__ import annotations

import re
from typing import Iterable, Iterator, List, NamedTuple

from .errors import BundleTooLarge, BundleUnreadable, BundleUnsafe
from .onnx_schema import DOMAINS, OPERATORS, ROOT, SCHEMAS, FieldSchema, Rule, Schema
from .protobuf import VARINT, Field, Reader, WireError, fields

#: Messages within messages; protocol buffers' own limit.
MAX_DEPTH = 100
#: A network of a thousand nodes takes 20,000.
MAX_FIELDS = 2_000_000

#: Longer texts are not read: none that is looked for is as long, and no name of a graph need be.
_TEXT_BYTES = 200
#: ONNX Runtime makes the name of a graph a part of the paths of TensorRT's engines.
_PATH = re.compile(r"[/\\\x00-\x1f]")
#: From this entry ONNX Runtime reads session options, where its environment allows it.
_SETTINGS_KEY = "ort_config"

#: By these bytes after the fourth ONNX Runtime knows a file in its own format, which may look like ONNX as well.
_OTHER_FORMAT, _OTHER_FORMAT_AT = b"ORTM", 4

_INLINE_HINT = "store the weights in the ONNX file itself: onnx.save(onnx.load(path), path)"
_OPERATOR_HINT = "export the network with ONNX's own operators, at opset 17 or older"


class _Message(NamedTuple):
    """A message that is being read."""

    name: str
    schema: Schema
    fields: Iterator[Field]


def check_network(blocks: Iterable[bytes], *, field: str, max_fields: int = MAX_FIELDS) -> int:
    """Pass an ONNX file whose content is ``blocks``, and return how many fields it has.

    All of ``blocks`` is read. ``field`` is the path of the culprit in errors.

    Raises:
        BundleUnsafe: a tensor's data lie outside of the file, an operator is not ONNX's own, a graph has the name of
            a path, or the file has settings for a runtime, or a field that ONNX does not have.
        BundleUnreadable: it is not a well-formed ONNX file.
        BundleTooLarge: it has more than ``max_fields`` fields.
    """
    reader = Reader(_of_this_format(blocks, field))
    try:
        return _walk(reader, field, max_fields)
    except WireError as error:
        message = f"is not an ONNX file that can be read: {error} (near byte {reader.position})"
        raise BundleUnreadable(message, field=field, hint="export the network again") from error


def _of_this_format(blocks: Iterable[bytes], path: str) -> Iterator[bytes]:
    """Pass on ``blocks`` unless they begin like a file in another format that a runtime would read."""
    head = b""
    size = _OTHER_FORMAT_AT + len(_OTHER_FORMAT)
    for block in blocks:
        if len(head) < size:
            head += block[: size - len(head)]
            if head[_OTHER_FORMAT_AT:] == _OTHER_FORMAT:
                raise BundleUnsafe("is in ONNX Runtime's own format", field=path, hint="pack the ONNX file")
        yield block


def _walk(reader: Reader, path: str, max_fields: int) -> int:
    count = 0
    stack: List[_Message] = [_Message(ROOT, SCHEMAS[ROOT], fields(reader))]
    while stack:
        message = stack[-1]
        found = next(message.fields, None)
        if found is None:
            stack.pop()
            continue
        count += 1
        if count > max_fields:
            raise BundleTooLarge(
                f"has more than {max_fields} fields", field=path, hint="pack fewer or smaller networks"
            )
        known = message.schema.get(found.number)
        if known is None or found.kind not in known.kinds:
            raise BundleUnsafe(
                f"has field {found.number} of wire type {found.kind} in a {message.name}, which is unknown to ONNX",
                field=path,
                hint="export the network with an earlier release of ONNX, at IR version 8",
            )
        if known.message is not None:
            if len(stack) == MAX_DEPTH:
                raise BundleUnreadable(f"is nested more than {MAX_DEPTH} deep", field=path)
            stack.append(_Message(known.message, SCHEMAS[known.message], fields(reader, found.value)))
        elif known.rule is Rule.PASSED_OVER:
            if found.kind != VARINT:
                reader.skip(found.value)
        else:
            _check(reader, found, known, path)
    return count


def _check(reader: Reader, found: Field, known: FieldSchema, path: str) -> None:
    """Read a field that may be at fault."""
    if known.rule is Rule.EXTERNAL_DATA or (known.rule is Rule.DATA_LOCATION and found.value != 0):
        raise BundleUnsafe("keeps the data of a tensor in another file", field=path, hint=_INLINE_HINT)
    if known.rule is Rule.DATA_LOCATION:
        return
    text = reader.take(min(found.value, _TEXT_BYTES)).decode("utf-8", "backslashreplace")
    reader.skip(max(found.value - _TEXT_BYTES, 0))
    if known.rule is Rule.OPERATOR and text not in OPERATORS:
        raise BundleUnsafe(f"has the operator {text!r}, which is not ONNX's own", field=path, hint=_OPERATOR_HINT)
    if known.rule is Rule.DOMAIN and text not in DOMAINS:
        raise BundleUnsafe(f"has an operator of the domain {text!r}", field=path, hint=_OPERATOR_HINT)
    if known.rule is Rule.GRAPH_NAME and (found.value > _TEXT_BYTES or _PATH.search(text)):
        raise BundleUnsafe(f"has a graph whose name is long or a path: {text!r}", field=path, hint="rename the graph")
    if known.rule is Rule.METADATA_KEY and text == _SETTINGS_KEY:
        message = f"has settings of a runtime in its metadata, under {_SETTINGS_KEY!r}"
        raise BundleUnsafe(message, field=path, hint="remove the entry")
