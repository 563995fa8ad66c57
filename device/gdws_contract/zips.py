"""A reader for the part of the ZIP format that bundles may use, hardened against hostile files.

Accepted: one disk, no archive comment, no ZIP64, members that are plain files with safe names, stored or
deflated, not encrypted, none lying on another. That is what every ZIP tool writes for plain files.

The directory is bounded before any of it is parsed, and its sizes before any member is expanded. So memory
and time stay within the limits whatever the file claims. Only :class:`~gdws_contract.errors.BundleError`
leaves this module, besides ``OSError`` from the file itself.

Layout and field names: APPNOTE.TXT 6.3.10, sections 4.3.7 (local header), 4.3.12 (directory), 4.3.16 (end record).
"""

from __future__ import annotations

import os
import re
import stat
import struct
import zlib
from dataclasses import dataclass, replace
from typing import BinaryIO, Dict, Iterator, List

from .errors import BundleTooLarge, BundleUnreadable, BundleUnsafe

_END_RECORD = struct.Struct("<4s4H2LH")
_DIRECTORY_HEADER = struct.Struct("<4s6H3L5H2L")
_LOCAL_HEADER = struct.Struct("<4s5H3L2H")
_ZIP64_LOCATOR_SIZE = 20

_STORED, _DEFLATED = 0, 8
#: Bits of the general purpose flags: encrypted, patch data, strong encryption, masked local headers.
_REFUSED_FLAGS = 1 | 1 << 5 | 1 << 6 | 1 << 13

_MEMBER_PATH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}(/[A-Za-z0-9][A-Za-z0-9._-]{0,99}){0,7}")
_BLOCK = 1 << 18
_RE_PACK = "write the bundle again with 'gdws convert'"


@dataclass(frozen=True)
class Limits:
    """What a bundle may ask of its reader; the defaults suit the smallest Jetson.

    ``archive_bytes``: size of the file. ``members``: their number. ``manifest_bytes``: size of the manifest.
    ``total_bytes``: sum of the members' sizes once expanded. ``expansion``: that sum over the size of the file.
    """

    archive_bytes: int = 2_000_000_000
    members: int = 1_000
    manifest_bytes: int = 4 << 20
    total_bytes: int = 2_000_000_000
    expansion: int = 100


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True)
class Entry:
    """One member as the directory describes it; sizes in bytes.

    ``offset`` is that of its local header, ``end`` that of what follows: its data end there at the latest.
    """

    path: str
    method: int
    crc32: int
    compressed_size: int
    size: int
    offset: int
    end: int


def is_member_path(path: str) -> bool:
    """Tell whether ``path`` may name a member: up to 8 parts of plain characters, none hidden, none special.

    Refused by this are absolute paths, drive letters, ``..``, backslashes, NUL and empty parts.
    """
    return _MEMBER_PATH.fullmatch(path) is not None


def read_directory(file: BinaryIO, limits: Limits) -> Dict[str, Entry]:
    """Return the members of the archive in ``file`` by path.

    Raises:
        BundleUnreadable: not a ZIP archive, cut off, damaged, or of a form that bundles do not use.
        BundleUnsafe: a member has an unsafe path, is no plain file, is encrypted, repeated, or overlaps another.
        BundleTooLarge: a limit on size, count or expansion is passed.
    """
    file.seek(0, os.SEEK_END)
    archive_size = file.tell()
    if archive_size > limits.archive_bytes:
        raise BundleTooLarge(f"the archive has {archive_size} bytes, the limit is {limits.archive_bytes}")

    count, directory_size, directory_offset = _read_end_record(file, archive_size)
    if count > limits.members:
        raise BundleTooLarge(f"the archive has {count} members, the limit is {limits.members}")
    if directory_size > limits.members * 1_024:
        raise BundleTooLarge(f"the archive's directory has {directory_size} bytes for {count} members")

    entries = _parse_directory(_read_exactly(file, directory_offset, directory_size), count)
    total = sum(entry.size for entry in entries)
    if total > limits.total_bytes:
        raise BundleTooLarge(f"the members have {total} bytes, the limit is {limits.total_bytes}")
    if total > limits.expansion * archive_size:
        raise BundleTooLarge(
            f"{archive_size} bytes expand to {total}, more than {limits.expansion} times as much",
            hint="compress less, or not at all",
        )
    return _by_path(_apart(entries, directory_offset))


def stream(file: BinaryIO, entry: Entry) -> Iterator[bytes]:
    """Yield the content of ``entry`` in blocks.

    Never yields more than ``entry.size`` bytes. It may yield less: the caller compares size and hash.

    Raises:
        BundleUnreadable: the local header or the compressed data are damaged.
    """
    header = _LOCAL_HEADER.unpack(_read_exactly(file, entry.offset, _LOCAL_HEADER.size, entry.path))
    signature, name_size, extra_size = header[0], header[9], header[10]
    if signature != b"PK\x03\x04":
        raise _damaged("its local header is not where the directory says", entry.path)
    name = _read_exactly(file, entry.offset + _LOCAL_HEADER.size, name_size, entry.path)
    if name != entry.path.encode("ascii"):
        raise BundleUnsafe("has another name in its local header", field=entry.path)
    start = entry.offset + _LOCAL_HEADER.size + name_size + extra_size
    if start + entry.compressed_size > entry.end:
        raise _damaged("its data reach into the next member", entry.path)
    file.seek(start)
    blocks = _raw_blocks(file, entry)
    return blocks if entry.method == _STORED else _inflate(blocks, entry)


def crc32_matches(content: bytes, entry: Entry) -> bool:
    """Tell whether ``content`` has the size and CRC-32 that the directory states for ``entry``."""
    return len(content) == entry.size and zlib.crc32(content) == entry.crc32


def _read_end_record(file: BinaryIO, archive_size: int) -> tuple[int, int, int]:
    """Return the directory's entry count, size in bytes and offset."""
    offset = archive_size - _END_RECORD.size
    if offset < 0:
        raise BundleUnreadable("not a bundle: too short for a ZIP archive", hint=_RE_PACK)
    fields = _END_RECORD.unpack(_read_exactly(file, offset, _END_RECORD.size))
    signature, disk, directory_disk, count_here, count, size, directory_offset, comment_size = fields
    if signature != b"PK\x05\x06" or comment_size != 0:
        raise BundleUnreadable(
            "not a bundle: the end record of a ZIP archive is missing",
            hint="it may have been cut off on its way: copy it again and compare the sizes",
        )
    if (disk, directory_disk) != (0, 0) or count_here != count:
        raise BundleUnreadable("the archive is one part of several", hint=_RE_PACK)
    locator = offset - _ZIP64_LOCATOR_SIZE
    if locator >= 0 and _read_exactly(file, locator, 4) == b"PK\x06\x07":
        raise BundleTooLarge("a ZIP64 archive: made for more than 65535 members or 4 GiB", hint=_RE_PACK)
    if directory_offset + size != offset:
        raise BundleUnreadable("the archive's directory is not where its end record says", hint=_RE_PACK)
    return count, size, directory_offset


def _parse_directory(directory: bytes, count: int) -> List[Entry]:
    entries: List[Entry] = []
    position = 0
    while position < len(directory):
        if len(entries) == count:
            raise BundleUnreadable(f"the archive's directory lists more than the {count} members it announces")
        if position + _DIRECTORY_HEADER.size > len(directory):
            raise BundleUnreadable("the archive's directory is cut off")
        fields = _DIRECTORY_HEADER.unpack_from(directory, position)
        signature, _, _, flags, method, _, _, crc32, compressed_size, size = fields[:10]
        name_size, extra_size, comment_size, disk, _, attributes, offset = fields[10:]
        name_start = position + _DIRECTORY_HEADER.size
        position = name_start + name_size + extra_size + comment_size
        if signature != b"PK\x01\x02" or position > len(directory) or disk != 0:
            raise BundleUnreadable(f"entry {len(entries)} of the archive's directory is damaged")
        path = _safe_path(directory[name_start : name_start + name_size])
        _refuse_special(path, attributes, flags)
        _check_method(path, method, compressed_size, size)
        entries.append(Entry(path, method, crc32, compressed_size, size, offset, end=offset))
    if len(entries) != count:
        raise BundleUnreadable(f"the archive's directory lists {len(entries)} members and announces {count}")
    return entries


def _safe_path(name: bytes) -> str:
    path = name.decode("ascii", errors="backslashreplace")
    if not is_member_path(path):
        raise BundleUnsafe(
            f"unsafe member path {path[:200]!r}",
            hint="member paths are letters, digits, '.', '_' and '-' in parts divided by '/'",
        )
    return path


def _refuse_special(path: str, attributes: int, flags: int) -> None:
    if flags & _REFUSED_FLAGS:
        raise BundleUnsafe("is encrypted or patched", field=path, hint=_RE_PACK)
    if stat.S_IFMT(attributes >> 16) not in (0, stat.S_IFREG):
        raise BundleUnsafe("is a link, folder or device, not a plain file", field=path, hint=_RE_PACK)


def _check_method(path: str, method: int, compressed_size: int, size: int) -> None:
    if method not in (_STORED, _DEFLATED):
        raise BundleUnreadable(
            f"uses compression method {method}", field=path, hint="store members, or compress them with deflate"
        )
    if method == _STORED and compressed_size != size:
        raise _damaged("is stored, yet its two sizes differ", path)


def _apart(entries: List[Entry], directory_offset: int) -> List[Entry]:
    """Return the entries in order with their ends; refuse those that lie on each other.

    Members that share their data are how a small archive claims a large content.
    """
    ordered = sorted(entries, key=lambda entry: entry.offset)
    ends = [entry.offset for entry in ordered[1:]] + [directory_offset]
    for entry, end in zip(ordered, ends):
        if entry.offset + _LOCAL_HEADER.size + len(entry.path) + entry.compressed_size > end:
            raise BundleUnsafe("overlaps another part of the archive", field=entry.path, hint=_RE_PACK)
    return [replace(entry, end=end) for entry, end in zip(ordered, ends)]


def _by_path(entries: List[Entry]) -> Dict[str, Entry]:
    found: Dict[str, Entry] = {}
    for entry in entries:
        if entry.path in found:
            raise BundleUnsafe("is in the archive twice", field=entry.path, hint=_RE_PACK)
        found[entry.path] = entry
    return found


def _raw_blocks(file: BinaryIO, entry: Entry) -> Iterator[bytes]:
    remaining = entry.compressed_size
    while remaining > 0:
        block = file.read(min(_BLOCK, remaining))
        if not block:
            raise _damaged("the archive ends within it", entry.path)
        remaining -= len(block)
        yield block


def _inflate(blocks: Iterator[bytes], entry: Entry) -> Iterator[bytes]:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    remaining = entry.size
    for pending in blocks:
        starved = False
        while not starved and not inflater.eof:
            room = min(_BLOCK, remaining + 1)
            try:
                content = inflater.decompress(pending, room)
            except zlib.error as error:
                raise _damaged("its compressed data are damaged", entry.path) from error
            if len(content) > remaining:
                raise BundleTooLarge(f"expands to more than the {entry.size} bytes it states", field=entry.path)
            remaining -= len(content)
            pending = inflater.unconsumed_tail
            starved = len(content) < room
            yield content
    if not inflater.eof:
        raise _damaged("its compressed data are cut off", entry.path)


def _read_exactly(file: BinaryIO, offset: int, size: int, path: str | None = None) -> bytes:
    file.seek(offset)
    content = file.read(size)
    if len(content) != size:
        raise _damaged("the archive ends early", path)
    return content


def _damaged(message: str, path: str | None) -> BundleUnreadable:
    return BundleUnreadable(message, field=path, hint=_RE_PACK)
