"""The wire format of protobuf, as bytes."""

from __future__ import annotations


def varint(value: int) -> bytes:
    """Return ``value``, at least 0, as a varint."""
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])
