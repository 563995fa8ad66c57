"""ZIP archives made by hand, so that each field can lie."""

from __future__ import annotations

import json
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gdws_contract.archive_writer import write_bundle
from support.bundles import tiny_parts


@dataclass(frozen=True)
class Part:
    """One member. ``None`` means the honest value."""

    name: bytes
    content: bytes
    method: int = 0
    flags: int = 0
    attributes: int = 0o100644 << 16
    made_by: int = 3 << 8
    data: bytes | None = None  # as stored in the archive
    size: int | None = None
    compressed_size: int | None = None
    crc32: int | None = None
    offset: int | None = None
    local_name: bytes | None = None
    local_signature: bytes = b"PK\x03\x04"
    local_extra: bytes = b""
    extra: bytes = b""
    disk: int = 0


def raw_zip(
    parts: Sequence[Part],
    *,
    count: int | None = None,
    directory_size: int | None = None,
    directory_offset: int | None = None,
    comment: bytes = b"",
    before_end: bytes = b"",
    disk: int = 0,
) -> bytes:
    """An archive of ``parts``; the keyword arguments go into its end record, and ``before_end`` before it."""
    body, directory = b"", b""
    for part in parts:
        data = _stored(part) if part.data is None else part.data
        crc32 = zlib.crc32(part.content) if part.crc32 is None else part.crc32
        size = len(part.content) if part.size is None else part.size
        compressed = len(data) if part.compressed_size is None else part.compressed_size
        offset = len(body) if part.offset is None else part.offset
        local_name = part.name if part.local_name is None else part.local_name
        head = (20, part.flags, part.method, 0, 0x21, crc32, compressed, size)
        body += struct.pack("<4s5H3L2H", part.local_signature, *head, len(local_name), len(part.local_extra))
        body += local_name + part.local_extra + data
        directory += struct.pack("<4s2H", b"PK\x01\x02", part.made_by, 20)
        directory += struct.pack("<4H3L", *head[1:])
        directory += struct.pack("<5H2L", len(part.name), len(part.extra), 0, part.disk, 0, part.attributes, offset)
        directory += part.name + part.extra
    size = len(directory) + len(before_end) if directory_size is None else directory_size
    start = len(body) if directory_offset is None else directory_offset
    total = len(parts) if count is None else count
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", disk, disk, total, total, size, start, len(comment))
    return body + directory + before_end + end + comment


def tiny_files(path: Path, **options: Any) -> dict[str, bytes]:
    """Write a tiny bundle to ``path``; return its files, the manifest among them."""
    fields, members = tiny_parts(**{"net": "linear", "count": 2, **options})
    write_bundle(path, fields, members)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def repacked(files: Mapping[str, bytes], change: Callable[[Any], object] | None = None, **options: Any) -> bytes:
    """An archive of ``files``, the manifest changed by ``change``."""
    changed = dict(files)
    if change is not None:
        manifest = json.loads(files["manifest.json"])
        change(manifest)
        changed["manifest.json"] = json.dumps(manifest).encode()
    return raw_zip([Part(name.encode(), content) for name, content in changed.items()], **options)


def deflated(content: bytes) -> bytes:
    """``content`` compressed as in an archive."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    return deflater.compress(content) + deflater.flush()


def _stored(part: Part) -> bytes:
    return deflated(part.content) if part.method == 8 else part.content
