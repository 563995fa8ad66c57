"""The archive format: what is read, and what is refused."""

from __future__ import annotations

import io
import os
import struct
import tracemalloc
import zipfile
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdws_contract.errors import BundleTooLarge, BundleUnreadable, BundleUnsafe
from gdws_contract.zips import DEFAULT_LIMITS, Limits, crc32_matches, is_member_path, read_directory, stream
from support.archives import Part, raw_zip

STORED, DEFLATED = 0, 8


def read_all(content: bytes, limits: Limits = DEFAULT_LIMITS) -> dict[str, bytes]:
    file = io.BytesIO(content)
    return {path: b"".join(stream(file, entry)) for path, entry in read_directory(file, limits).items()}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@given(
    contents=st.dictionaries(
        st.from_regex(r"[a-z0-9]{1,8}(/[a-z0-9]{1,8}){0,2}", fullmatch=True), st.binary(max_size=300), max_size=5
    ),
    repeat=st.integers(1, 40),
)
@settings(deadline=None, max_examples=40)
def test_reads_what_zipfile_writes(method, contents, repeat):
    buffer = io.BytesIO()
    expected = {name: content * repeat for name, content in contents.items()}
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in expected.items():
            archive.writestr(name, content)
    assert read_all(buffer.getvalue(), Limits(expansion=2000)) == expected


def test_reads_members_that_were_streamed_with_their_sizes_after_the_data():
    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.written = b""

        def writable(self) -> bool:
            return True

        def write(self, data) -> int:
            self.written += bytes(data)
            return len(data)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/b.bin", b"hello" * 100)
    assert read_all(pipe.written) == {"a/b.bin": b"hello" * 100}


def test_reads_a_member_larger_than_a_block():
    content = os.urandom(300_000) + bytes(700_000)
    assert read_all(raw_zip([Part(b"a", content, method=DEFLATED)]))["a"] == content


@pytest.mark.parametrize("size", [0, 1, 21, 22, 100])
def test_too_short_or_no_archive(size):
    with pytest.raises(BundleUnreadable):
        read_all(b"x" * size)


@pytest.mark.parametrize("method", [STORED, DEFLATED])
def test_every_truncation_is_refused(method):
    whole = raw_zip([Part(b"a.txt", b"hello" * 10, method=method), Part(b"b.txt", b"there", method=method)])
    for length in range(len(whole)):
        with pytest.raises(BundleUnreadable):
            read_all(whole[:length])


@pytest.mark.parametrize(
    "name",
    [
        b"../a",
        b"a/../../b",
        b"/etc/passwd",
        b"C:/a",
        b"C:a",
        b"..\\a",
        b"a\\b",
        b"a\0.txt",
        b"a//b",
        b"a/",
        b"",
        b".",
        b"./a",
        b".hidden",
        b"a/.hidden",
        b"a\n",
        b" a",
        b"\xff\xfe",
        "\u202ea".encode(),
        b"~/a",
        b"a" * 101,
        b"/".join([b"a"] * 9),
        b"-rf",
    ],
)
def test_unsafe_paths(name):
    with pytest.raises(BundleUnsafe, match="unsafe member path"):
        read_all(raw_zip([Part(name, b"x")]))


def test_safe_paths():
    assert is_member_path("variants/gdws-2.1_b/model.onnx")
    assert not is_member_path("variants/gdws/model.onnx\n")


@pytest.mark.parametrize("kind", [0o120777, 0o040755, 0o020644, 0o060644, 0o010644, 0o140644])
@pytest.mark.parametrize("made_by", [3 << 8, 19 << 8, 0])
def test_links_folders_and_devices(kind, made_by):
    with pytest.raises(BundleUnsafe, match="not a plain file") as caught:
        read_all(raw_zip([Part(b"a", b"/etc/passwd", attributes=kind << 16, made_by=made_by)]))
    assert caught.value.field == "a"


def test_a_member_without_unix_attributes_is_a_plain_file():
    assert read_all(raw_zip([Part(b"a", b"x", attributes=0, made_by=0)])) == {"a": b"x"}


ZIP64_LOCATOR = struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 1)
A, B = Part(b"a", b"x"), Part(b"b", b"x")
REFUSED = {
    "a member twice": (raw_zip([A, B, A]), BundleUnsafe, "twice"),
    "more entries than announced": (raw_zip([A, B], count=1), BundleUnreadable, "more than the 1"),
    "fewer entries than announced": (raw_zip([A], count=2), BundleUnreadable, "lists 1 members and announces 2"),
    "ZIP64": (raw_zip([A], before_end=ZIP64_LOCATOR), BundleTooLarge, "ZIP64"),
    "ZIP64 sizes": (
        raw_zip([replace(A, size=2**32 - 1, compressed_size=2**32 - 1, extra=bytes(20))]),
        BundleTooLarge,
        "4294967295 bytes",
    ),
    "one of several disks": (raw_zip([A], disk=1), BundleUnreadable, "several"),
    "a member on another disk": (raw_zip([replace(A, disk=1)]), BundleUnreadable, "damaged"),
    "a comment": (raw_zip([A], comment=b"hello"), BundleUnreadable, "end record"),
    "leading data": (b"#!/bin/sh\n" + raw_zip([A]), BundleUnreadable, "directory is not where"),
    "a directory elsewhere": (raw_zip([A], directory_offset=2**32 - 1), BundleUnreadable, "directory is not where"),
    # A quine bomb: every entry points to the same compressed data.
    "shared data": (
        raw_zip([Part(b"a", bytes(10_000), 8), Part(b"b", bytes(10_000), 8, data=b"", compressed_size=90, offset=0)]),
        BundleUnsafe,
        "overlaps",
    ),
    "a member in the directory": (raw_zip([replace(A, size=60, compressed_size=60)]), BundleUnsafe, "overlaps"),
    "a long local extra field": (
        raw_zip([Part(b"a", b"", local_extra=bytes(10), compressed_size=9, size=9)]),
        BundleUnreadable,
        "next member",
    ),
    "another name in the local header": (raw_zip([replace(A, local_name=b"b")]), BundleUnsafe, "another name"),
    "no local header": (raw_zip([replace(A, local_signature=b"XXXX")]), BundleUnreadable, "local header"),
    "stored with two sizes": (raw_zip([Part(b"a", b"abc", size=2)]), BundleUnreadable, "two sizes"),
    "a bomb by its stated sizes": (raw_zip([Part(b"a", bytes(2**24), 8)]), BundleTooLarge, "more than 100 times"),
}


@pytest.mark.parametrize(("content", "error", "told"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_plain_archive_is_refused(content, error, told):
    with pytest.raises(error, match=told):
        read_all(content)


@pytest.mark.parametrize("limits", [Limits(archive_bytes=50), Limits(total_bytes=0)])
def test_sizes_are_bounded(limits):
    with pytest.raises(BundleTooLarge, match="the limit is "):
        read_all(raw_zip([A]), limits)


@pytest.mark.parametrize("flags", [1, 1 | 1 << 6, 1 << 5, 1 << 13])
def test_encrypted_members(flags):
    with pytest.raises(BundleUnsafe, match="encrypted"):
        read_all(raw_zip([Part(b"a", b"x", flags=flags)]))


@pytest.mark.parametrize("method", [1, 6, 9, 12, 14, 93, 95, 98, 99, 65535])
def test_other_compression_methods(method):
    with pytest.raises(BundleUnreadable, match="compression method") as caught:
        read_all(raw_zip([Part(b"a", b"x", method=method)]))
    assert caught.value.field == "a"
    assert "deflate" in caught.value.hint


def test_too_many_members():
    with pytest.raises(BundleTooLarge, match="1001 members"):
        read_all(raw_zip([Part(b"%d" % number, b"") for number in range(1_001)]))


@pytest.mark.parametrize("count", [65_535, 1], ids=["announced", "hidden"])
def test_a_large_directory_is_refused_before_it_is_read(count):
    size = 50_000_000  # of a million entries
    file = SparseFile(size, raw_zip([], count=count, directory_size=size, directory_offset=0))
    with tracked_memory() as peak, pytest.raises(BundleTooLarge, match="members"):
        read_directory(file, DEFAULT_LIMITS)
    assert peak() < 1_000_000
    assert file.bytes_read < 1_000


def test_a_bomb_that_states_a_small_size_stops_at_it():
    bomb = raw_zip([Part(b"a", bytes(100_000_000), method=DEFLATED, size=10)])
    with tracked_memory() as peak, pytest.raises(BundleTooLarge, match="10 bytes it states"):
        read_all(bomb)
    assert peak() < 1_000_000


def test_an_honest_member_is_streamed_in_small_blocks():
    file = io.BytesIO(raw_zip([Part(b"a", bytes(5_000_000), method=DEFLATED)]))
    entry = read_directory(file, Limits(expansion=2_000))["a"]
    with tracked_memory() as peak:
        total = sum(len(block) for block in stream(file, entry))
    assert total == 5_000_000
    assert peak() < 2_000_000


def test_damaged_and_cut_deflate_data():
    with pytest.raises(BundleUnreadable, match="damaged"):
        read_all(raw_zip([Part(b"a", b"abc", method=DEFLATED, data=b"\xff\xff\xff")]))
    whole = raw_zip([Part(b"a", b"abc" * 50, method=DEFLATED)])
    data = whole[31 : whole.index(b"PK\x01\x02")]
    with pytest.raises(BundleUnreadable, match="cut off"):
        read_all(raw_zip([Part(b"a", b"abc" * 50, method=DEFLATED, data=data[:-2])]))


def test_crc32():
    file = io.BytesIO(raw_zip([Part(b"a", b"abc")]))
    entry = read_directory(file, DEFAULT_LIMITS)["a"]
    assert crc32_matches(b"abc", entry)
    assert not crc32_matches(b"abd", entry)
    assert not crc32_matches(b"ab", entry)


def test_random_directories_never_raise_anything_else():
    """Each byte of a small archive set to telling values, one at a time."""
    whole = raw_zip([Part(b"a", b"x" * 30, method=DEFLATED), Part(b"b/c", b"yes")])
    for position in range(len(whole)):
        for value in (0, 1, 0x7F, 0x80, 0xFF):
            mutated = whole[:position] + bytes([value]) + whole[position + 1 :]
            try:
                read_all(mutated)
            except (BundleUnreadable, BundleUnsafe, BundleTooLarge):
                continue


class SparseFile(io.RawIOBase):
    """``size`` zero bytes and then ``tail``, without holding them; counts what is read."""

    def __init__(self, size: int, tail: bytes) -> None:
        self._size, self._tail, self._position, self.bytes_read = size, tail, 0, 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size + len(self._tail)}[whence]
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, size: int = -1) -> bytes:
        end = self._size + len(self._tail) if size < 0 else self._position + size
        zeros = max(0, min(end, self._size) - self._position)
        start = max(0, self._position - self._size)
        content = bytes(zeros) + self._tail[start : max(0, end - self._size)]
        self._position += len(content)
        self.bytes_read += len(content)
        return content


class tracked_memory:  # noqa: N801 (used like a function)
    """``with tracked_memory() as peak``: afterwards ``peak()`` is the most memory that was in use, in bytes."""

    def __enter__(self):
        tracemalloc.start()
        self._peak = 0
        return lambda: self._peak

    def __exit__(self, *_):
        self._peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
