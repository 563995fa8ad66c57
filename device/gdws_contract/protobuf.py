"""The wire format of protocol buffers, read strictly from blocks of bytes as they come.

Parsers agree on what serialisers write, and differ on the rest: groups, padded numbers, fields of number 0, lengths
that go past the end. All that is refused, so that what is read here is what any other parser reads. Content that is
passed over is never copied. https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from typing import Iterable, Iterator, NamedTuple, Optional

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_FIXED_SIZES = {FIXED64: 8, FIXED32: 4}

_MAX_VARINT_BYTES = 10
_MAX_TAG = 2**32


class WireError(ValueError):
    """The bytes are not a message that every parser reads alike."""


class Field(NamedTuple):
    """The head of a field. ``value`` is the number of a varint, else the size in bytes of the content that follows."""

    number: int
    kind: int
    value: int


class Reader:
    """A place in a stream of blocks, which are taken as they are needed."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self._block = b""
        self._at = 0
        self._passed = 0

    @property
    def position(self) -> int:
        """How many bytes were read or passed over."""
        return self._passed + self._at

    def at_end(self) -> bool:
        """Tell whether nothing follows."""
        return self._at >= len(self._block) and not self._next_block()

    def varint(self) -> int:
        """Return the number that follows, below 2**64.

        Raises:
            WireError: it is cut off, too large, or written with more bytes than it takes.
        """
        value = 0
        for index in range(_MAX_VARINT_BYTES):
            if self._at >= len(self._block) and not self._next_block():
                raise WireError("a number extends past the end")
            byte = self._block[self._at]
            self._at += 1
            if byte < 0x80 and index == 0:  # most are of one byte
                return byte
            value |= (byte & 0x7F) << 7 * index
            if byte < 0x80:
                if value >= 2**64 or (byte == 0 and index > 0):
                    raise WireError("a number that is too large, or padded")
                return value
        raise WireError("a number of more than ten bytes")

    def take(self, size: int) -> bytes:
        """Return the next ``size`` bytes.

        Raises:
            WireError: there are fewer.
        """
        content = bytearray()
        while len(content) < size:
            if self._at >= len(self._block) and not self._next_block():
                raise WireError("a field extends past the end")
            piece = self._block[self._at : self._at + size - len(content)]
            self._at += len(piece)
            content += piece
        return bytes(content)

    def skip(self, size: int) -> None:
        """Pass over the next ``size`` bytes.

        Raises:
            WireError: there are fewer.
        """
        end = self.position + size
        while self._passed + len(self._block) < end:
            self._at = len(self._block)
            if not self._next_block():
                raise WireError("a field extends past the end")
        self._at = end - self._passed

    def _next_block(self) -> bool:
        for block in self._blocks:
            if block:
                self._passed += len(self._block)
                self._block, self._at = block, 0
                return True
        return False


def fields(reader: Reader, size: Optional[int] = None) -> Iterator[Field]:
    """Yield the head of each field of a message of ``size`` bytes; None is one that ends with the stream.

    Whoever iterates takes or passes over the content of each field, but not of a varint, before asking for the next.

    Raises:
        WireError: the message is malformed.
    """
    end = None if size is None else reader.position + size
    while not reader.at_end() if end is None else reader.position < end:
        tag = reader.varint()
        number, kind = tag >> 3, tag & 7
        if number == 0 or tag >= _MAX_TAG:
            raise WireError(f"a field of the number {number}")
        if kind in (VARINT, BYTES):
            value = reader.varint()
        elif kind in _FIXED_SIZES:
            value = _FIXED_SIZES[kind]
        else:
            raise WireError(f"a field of the unknown kind {kind}")
        if end is not None and reader.position + (0 if kind == VARINT else value) > end:
            raise WireError("a field extends past the end of its message")
        yield Field(number, kind, value)
