"""The IDX format: what is published is read, and what is damaged is named."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from gdws.datasets.idx_file import read_idx
from gdws.errors import DataError
from support.idx import idx_bytes

VALUES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
WHOLE = idx_bytes(VALUES)


@pytest.mark.parametrize("name", ["a-idx3-ubyte", "a-idx3-ubyte.gz"])
def test_what_was_written_is_read(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(gzip.compress(WHOLE) if name.endswith(".gz") else WHOLE)
    found = read_idx(path, (2, 3, 4))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, VALUES)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an IDX file"),
        (WHOLE[:3], "not an IDX file"),
        (WHOLE[:10], "not an IDX file"),  # within the dimensions
        (b"PK\x03\x04" + WHOLE[4:], "not an IDX file"),
        (b"\0\0\x0d\x03" + WHOLE[4:], "not an IDX file of unsigned bytes"),  # floats
        (b"\0\0\x08\xff" + WHOLE[4:], "not an IDX file"),  # 255 dimensions
        (WHOLE[:-1], "truncated: 23 of 24 values"),
        (WHOLE[:16], "truncated: 0 of 24 values"),
        (WHOLE + b"\0", "has more data after its 24 values"),
        (idx_bytes(VALUES[:1]), r"has an array of shape \(1, 3, 4\), not \(2, 3, 4\)"),
        (idx_bytes(VALUES.reshape(6, 4)), r"shape \(6, 4\)"),
        (b"\0\0\x08\x03" + struct.pack(">III", *[2**32 - 1] * 3), r"shape \(4294967295, "),
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_what_is_malformed_is_named(tmp_path, content, message, zipped):
    path = tmp_path / ("file.gz" if zipped else "file")
    path.write_bytes(gzip.compress(content) if zipped else content)
    with pytest.raises(DataError, match=message) as caught:
        read_idx(path, (2, 3, 4))
    assert str(path) in str(caught.value)
    assert caught.value.hint


def _with_flipped_byte(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(WHOLE, id="not gzipped in spite of its name"),
        pytest.param(gzip.compress(WHOLE)[:20], id="cut"),
        pytest.param(_with_flipped_byte(gzip.compress(WHOLE), 12), id="a byte flipped"),
        pytest.param(_with_flipped_byte(gzip.compress(WHOLE), -6), id="another checksum"),
    ],
)
def test_damaged_archives_are_named(tmp_path, content):
    path: Path = tmp_path / "file.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"file\.gz"):
        read_idx(path, (2, 3, 4))


def test_a_folder_in_the_place_of_the_file(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_idx(tmp_path, (2, 3, 4))
