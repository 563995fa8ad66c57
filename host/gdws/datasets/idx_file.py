"""The IDX format, in which MNIST and its relatives are published (LeCun et al., http://yann.lecun.com/exdb/mnist/).

Two zero bytes, the type of the values (8: unsigned bytes), the number of dimensions, each dimension as a big-endian
32-bit number, then the values in row-major order.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path
from typing import IO, cast

import numpy as np

from gdws.errors import DataError

_UNSIGNED_BYTE = 8


def read_idx(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """The unsigned bytes in an IDX file, gzipped if its name ends in ``.gz``, as an array of ``shape``.

    The header is compared with ``shape`` before anything else is read, so a damaged or hostile file cannot ask for
    memory. Raises :class:`DataError` naming the file if it cannot be read, is not of the format, is truncated, or
    holds an array of another shape.
    """
    hint = "restore the published file"
    try:
        with _open(path) as stream:
            found = _read_shape(stream)
            size = int(np.prod(shape))
            values = stream.read(size + 1) if found == shape else b""
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}", hint=hint) from error
    if found is None:
        raise DataError(f"{path} is not an IDX file of unsigned bytes", hint=hint)
    if found != shape:
        raise DataError(f"{path} has an array of shape {found}, not {shape}", hint=hint)
    if len(values) < size:
        raise DataError(f"{path} is truncated: {len(values):,} of {size:,} values", hint=hint)
    if len(values) > size:
        raise DataError(f"{path} has more data after its {size:,} values", hint=hint)
    return np.frombuffer(values, np.uint8).reshape(shape)


def _open(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def _read_shape(stream: IO[bytes]) -> tuple[int, ...] | None:
    """The dimensions in the header; None if it is not one of unsigned bytes."""
    magic = stream.read(4)
    if len(magic) < 4 or magic[:3] != bytes((0, 0, _UNSIGNED_BYTE)):
        return None
    dimensions = stream.read(4 * magic[3])
    if len(dimensions) < 4 * magic[3]:
        return None
    return struct.unpack(f">{magic[3]}I", dimensions)
