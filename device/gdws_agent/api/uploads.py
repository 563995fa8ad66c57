"""Reads request bodies into files and small texts, within limits, without keeping a bundle in memory.

A bundle is written to the data folder as it arrives. A raw body is the bundle itself; a form has the
part ``bundle`` and may have the part ``request``. The parts of a form are written as they are parsed, so
that no second copy is spooled elsewhere.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
from pathlib import Path
from typing import Any, AsyncIterator, BinaryIO, Dict, List, NamedTuple, Optional, Set

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from gdws_agent.errors import BodyMalformed, BodyTooLarge, MediaTypeUnsupported, StorageFull, UploadCutOff
from gdws_agent.storage.disk import disk_errors

JSON = "application/json"
OCTETS = "application/octet-stream"
FORM = "multipart/form-data"

MAX_JSON_BYTES = 2**20
_WRITE_BYTES = 2**20
#: Left free on the disk for the database and the logs.
_RESERVE_BYTES = 16 * 2**20
_MAX_HEADER_BYTES = 8_192
#: What a client may say of a raw bundle; curl's --data-binary and -T say the second or nothing.
_RAW_TYPES = ("", OCTETS, "application/zip", "application/x-www-form-urlencoded")


class Received(NamedTuple):
    """A body on the disk: the bundle's file, and the text of the form's part ``request`` if there was one."""

    bundle: Path
    request: Optional[bytes]


def media_type(request: Request) -> str:
    """Return the media type of a body in lower case without its parameters; empty when not stated."""
    return request.headers.get("content-type", "").split(";")[0].strip().lower()


async def read_json(request: Request) -> bytes:
    """Return a body that must be small.

    Raises:
        BodyTooLarge, UploadCutOff
    """
    return b"".join([chunk async for chunk in _limited(request, MAX_JSON_BYTES)])


@contextlib.asynccontextmanager
async def receive_bundle(request: Request, folder: Path, limit_bytes: int) -> AsyncIterator[Received]:
    """Write the bundle in the body of ``request`` to a file in ``folder``, which is removed on leaving.

    Raises:
        BodyTooLarge: the body has more than ``limit_bytes``.
        UploadCutOff, BodyMalformed, MediaTypeUnsupported
        StorageFull, StorageFailed: the disk does not take it.
    """
    kind = media_type(request)
    if kind != FORM and kind not in _RAW_TYPES:
        raise MediaTypeUnsupported(f"cannot take {kind!r}", field="content-type", hint=f"send {OCTETS} or {FORM}")
    with disk_errors("the upload"):
        folder.mkdir(mode=0o700, exist_ok=True)  # somebody may have tidied up
        _check_announced(request, folder, limit_bytes)
    path = folder / f"{secrets.token_hex(8)}.partial"
    try:
        with disk_errors("the upload"), open(path, "xb") as file:
            target = _BlockWriter(file)
            chunks = _limited(request, limit_bytes)
            text: Optional[bytes] = None
            if kind == FORM:
                text = await _form(request, chunks, target)
            else:
                await _raw(chunks, target)
            await target.flush()
        yield Received(path, text)
    finally:
        with contextlib.suppress(OSError):
            path.unlink()


async def _raw(chunks: AsyncIterator[bytes], target: _BlockWriter) -> None:
    async for chunk in chunks:
        await target.write(chunk)
    if target.size == 0:
        raise BodyMalformed("the body is empty", hint="curl --data-binary @model.gdws")


async def _form(request: Request, chunks: AsyncIterator[bytes], target: _BlockWriter) -> Optional[bytes]:
    """Write the form's part ``bundle`` to ``target`` and return its part ``request``."""
    _, options = parse_options_header(request.headers["content-type"])
    boundary = options.get(b"boundary")
    if not boundary:
        raise BodyMalformed("the form's boundary is missing", field="content-type")
    form = _Form(boundary)
    async for chunk in chunks:
        for block in form.feed(chunk):
            await target.write(block)
    return form.finish()


class _Form:
    """A form that is parsed as it arrives: ``bundle`` is passed on, ``request`` is kept."""

    _PARTS = ("bundle", "request")

    def __init__(self, boundary: bytes) -> None:
        self._blocks: List[bytes] = []
        self._request: Optional[bytearray] = None
        self._seen: Set[str] = set()
        self._part = ""
        self._field = bytearray()
        self._value = bytearray()
        self._headers: Dict[bytes, bytes] = {}
        self._complete = False
        callbacks: Any = {
            "on_part_begin": self._headers.clear,
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": self._on_part_data,
            "on_end": self._on_end,
        }
        try:
            self._parser = MultipartParser(boundary, callbacks)
        except FormParserError as error:
            raise BodyMalformed(f"the form's boundary cannot be used: {error}", field="content-type") from error

    def feed(self, chunk: bytes) -> List[bytes]:
        """Parse one more piece of the body and return what of it belongs to ``bundle``."""
        if self._complete:
            return []
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise BodyMalformed(f"not a form: {error}") from error
        blocks, self._blocks = self._blocks, []
        return blocks

    def finish(self) -> Optional[bytes]:
        """Return the part ``request``; raises BodyMalformed when the form has no end or no bundle."""
        if not self._complete:
            raise BodyMalformed("the form ends before its last boundary")
        if "bundle" not in self._seen:
            raise BodyMalformed("the form has no part 'bundle'", field="bundle", hint="curl -F bundle=@model.gdws")
        return None if self._request is None else bytes(self._request)

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]
        self._check_header()

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._check_header()

    def _check_header(self) -> None:
        if len(self._field) + len(self._value) > _MAX_HEADER_BYTES or len(self._headers) > 16:
            raise BodyMalformed("the header of a part of the form is too long")

    def _on_header_end(self) -> None:
        self._headers[bytes(self._field).lower()] = bytes(self._value)
        self._field.clear()
        self._value.clear()

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        name = options.get(b"name", b"").decode("utf-8", "replace")[:100]
        if name not in self._PARTS:
            raise BodyMalformed(f"the form has the unknown part {name!r}", field=name, hint="known: bundle, request")
        if name in self._seen:
            raise BodyMalformed(f"the form has the part {name!r} twice", field=name)
        self._seen.add(name)
        self._part = name
        if name == "request":
            self._request = bytearray()

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._part == "bundle":
            self._blocks.append(data[start:end])
        elif self._request is not None:
            self._request += data[start:end]
            if len(self._request) > MAX_JSON_BYTES:
                raise BodyTooLarge(f"the part 'request' has more than {MAX_JSON_BYTES} bytes", field="request")

    def _on_end(self) -> None:
        self._complete = True


class _BlockWriter:
    """Writes to a file in blocks outside of the event loop, since writes to a disk may block."""

    def __init__(self, file: BinaryIO) -> None:
        self.size = 0
        self._file = file
        self._waiting: List[bytes] = []
        self._waiting_bytes = 0

    async def write(self, data: bytes) -> None:
        self.size += len(data)
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        if self._waiting_bytes >= _WRITE_BYTES:
            await self.flush()

    async def flush(self) -> None:
        block = b"".join(self._waiting)
        self._waiting, self._waiting_bytes = [], 0
        await run_in_threadpool(self._file.write, block)
        await run_in_threadpool(self._file.flush)


async def _limited(request: Request, limit_bytes: int) -> AsyncIterator[bytes]:
    """The body's pieces, as long as their sum stays within the limit."""
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit_bytes:
                raise _too_large(limit_bytes)
            if chunk:
                yield chunk
    except ClientDisconnect as error:
        raise UploadCutOff(f"the client disconnected after {size} bytes", hint="send it again") from error


def _check_announced(request: Request, folder: Path, limit_bytes: int) -> None:
    """Reject a body by its stated length before the first byte."""
    stated = request.headers.get("content-length", "")
    if not stated.isdecimal():
        return
    if int(stated) > limit_bytes:
        raise _too_large(limit_bytes)
    free = shutil.disk_usage(str(folder)).free
    if int(stated) + _RESERVE_BYTES > free:
        raise StorageFull(
            f"{stated} bytes are announced, but only {free} are free", hint="DELETE /models/{id} frees some"
        )


def _too_large(limit_bytes: int) -> BodyTooLarge:
    hint = "the option --max-upload-mb of the agent sets the limit for bundles"
    return BodyTooLarge(f"the body has more than {limit_bytes} bytes", hint=hint)
