"""Arrays of a bundle: ``.npy`` bytes -> a numpy array of the expected type and shape, or a typed error."""

from __future__ import annotations

import io
import math
from typing import Sequence

import numpy as np

from gdws_contract.errors import ManifestInvalid


def read_array(data: bytes, *, field: str, dtype: str, shape: Sequence[int]) -> np.ndarray:
    """Return the array in ``data``, a read-only view of it in C order.

    Only the header is parsed, and only after that is anything believed: objects, and with them pickles, are
    refused, and so is any type or shape but the expected. ``field`` names the culprit in the manifest.

    Raises:
        ManifestInvalid: not an ``.npy`` file, cut off, of another type or shape, or with NaN or infinity.
    """
    stream = io.BytesIO(data)
    try:
        if np.lib.format.read_magic(stream) != (1, 0):
            raise ValueError("it is not of version 1.0")
        found_shape, fortran_order, found_dtype = np.lib.format.read_array_header_1_0(stream)
    except Exception as error:  # numpy parses the header as a Python literal, which can fail in many ways
        raise ManifestInvalid(f"is not an .npy file that can be read: {error}", field=field) from error
    expected = np.dtype(dtype).newbyteorder("<")
    if found_dtype != expected or fortran_order or tuple(found_shape) != tuple(shape):
        found = f"{found_dtype} {list(found_shape)}" + (" in Fortran order" if fortran_order else "")
        raise ManifestInvalid(f"holds {found} where {expected} {list(shape)} belongs", field=field)
    start, count = stream.tell(), math.prod(shape)
    if len(data) - start != expected.itemsize * count:
        raise ManifestInvalid(f"has {len(data) - start} bytes of numbers, not those of its shape", field=field)
    array = np.frombuffer(data, expected, count, start).reshape(tuple(shape))
    if expected == np.bool_ and array.view(np.uint8).max(initial=0) > 1:
        raise ManifestInvalid("holds booleans that are neither 0 nor 1", field=field)
    if not np.isfinite(array).all():
        raise ManifestInvalid("contains NaN or infinity", field=field)
    return array
