import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdws_contract.protobuf import BYTES, FIXED32, FIXED64, VARINT, Field, Reader, WireError, fields
from support.wire import varint


def read_all(blocks):
    """Return every field with its content."""
    reader = Reader(blocks)
    return [(found, b"" if found.kind == VARINT else reader.take(found.value)) for found in fields(reader)]


@given(st.integers(0, 2**64 - 1), st.integers(1, 5))
def test_a_number_is_read_as_it_was_written(value, block_size):
    encoded = varint(value)
    reader = Reader(encoded[at : at + block_size] for at in range(0, len(encoded), block_size))
    assert reader.varint() == value
    assert (reader.position, reader.at_end()) == (len(encoded), True)


@given(st.binary(max_size=300), st.integers(1, 50))
def test_content_is_taken_and_passed_over_across_blocks(content, block_size):
    message = b"\x0a" + varint(len(content)) + content + b"\x10\x05"
    blocks = [message[at : at + block_size] for at in range(0, len(message), block_size)]
    assert read_all(blocks) == [(Field(1, BYTES, len(content)), content), (Field(2, VARINT, 5), b"")]
    reader = Reader(blocks)
    numbers = []
    for found in fields(reader):
        numbers.append(found.number)
        if found.kind == BYTES:
            reader.skip(found.value)
    assert numbers == [1, 2]


def test_fields_of_fixed_size():
    assert read_all([b"\x0d\x01\x02\x03\x04", b"\x11" + bytes(8)]) == [
        (Field(1, FIXED32, 4), b"\x01\x02\x03\x04"),
        (Field(2, FIXED64, 8), bytes(8)),
    ]


def test_empty_blocks_do_not_end_the_stream():
    assert read_all([b"", b"\x08", b"", b"\x07", b""]) == [(Field(1, VARINT, 7), b"")]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\x08", "past the end"),
        (b"\x0a\x05ab", "past the end"),
        (b"\x0d\x00", "past the end"),
        (b"\x08\x80", "past the end"),
        (b"\x08\x80\x00", "padded"),
        (b"\x88\x00\x01", "padded"),
        (b"\x0a\x81\x00x", "padded"),
        (b"\x08" + b"\xff" * 9 + b"\x02", "too large"),
        (b"\x08" + b"\xff" * 10 + b"\x01", "more than ten bytes"),
        (b"\x00\x01", "number 0"),
        (varint(2**32 + 8) + b"\x01", "a field of the number"),
        (b"\x0b\x08\x01\x0c", "unknown kind 3"),
        (b"\x0c", "unknown kind 4"),
        (b"\x0e", "unknown kind 6"),
        (b"\x0f", "unknown kind 7"),
    ],
)
def test_what_parsers_may_differ_on_is_refused(content, told):
    with pytest.raises(WireError, match=told):
        read_all([content])


def test_a_field_may_not_reach_out_of_its_message():
    reader = Reader([b"\x0a\x05" + b"x" * 10])
    with pytest.raises(WireError, match="past the end of its message"):
        list(fields(reader, 4))


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_garbage_is_read_or_refused_and_ends(content):
    with contextlib.suppress(WireError):
        assert sum(len(content) for _, content in read_all([content])) <= len(content)
