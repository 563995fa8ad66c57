import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gdws_agent.measuring.npy import read_array
from gdws_contract.errors import ManifestInvalid


def npy(array, **options):
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


@given(arrays.arrays(st.sampled_from(["float32", "float16", "uint8", "int64"]), arrays.array_shapes(max_dims=4)))
@settings(deadline=None, max_examples=50)
def test_round_trip(array):
    array = np.nan_to_num(array, nan=0, posinf=1, neginf=-1)
    read = read_array(npy(array), field="f", dtype=array.dtype.name, shape=array.shape)
    assert read.dtype == array.dtype
    assert np.array_equal(read, array)
    assert read.flags.c_contiguous
    assert not read.flags.writeable


ARRAY = np.arange(6, dtype=np.float32).reshape(2, 3)


class Explosive:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was loaded",))


HUGE_HEADER = b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65_535


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not an .npy file"),
        (b"garbage" * 20, "not an .npy file"),
        (npy(ARRAY)[:40], "not an .npy file"),
        (HUGE_HEADER, "not an .npy file"),
        (npy(ARRAY)[:-1], "23 bytes"),
        (npy(ARRAY) + b"\0", "25 bytes"),
        (npy(ARRAY.astype(np.float64)), "float64"),
        (npy(ARRAY.astype(">f4")), ">f4"),
        (npy(np.asfortranarray(ARRAY)), "Fortran order"),
        (npy(ARRAY.reshape(3, 2)), r"\[3, 2\]"),
        (npy(np.array([Explosive()], dtype=object), allow_pickle=True), "object"),
        (npy(np.zeros(2, [("a", "f4")])), "'a'"),
        (npy(np.where(ARRAY > 3, np.nan, ARRAY)), "NaN"),
        (npy(np.where(ARRAY > 3, np.float32(np.inf), ARRAY)), "NaN or infinity"),
        (npy(ARRAY).replace(b"'<f4'", b"'<f4', 'x': 1"), "not an .npy file"),
        (npy(ARRAY).replace(b"(2, 3)", b"(2,-3)"), "holds|not an .npy"),
    ],
)
def test_anything_else_is_refused(data, says):
    with pytest.raises(ManifestInvalid, match=says) as caught:
        read_array(data, field="variants[0].logits", dtype="float32", shape=(2, 3))
    assert caught.value.field == "variants[0].logits"


def test_a_shape_beyond_any_memory_is_refused_without_being_allocated():
    buffer = io.BytesIO()
    shape = (2**32, 2**32)
    np.lib.format.write_array_header_1_0(buffer, {"descr": "<f4", "fortran_order": False, "shape": shape})
    with pytest.raises(ManifestInvalid, match="0 bytes"):
        read_array(buffer.getvalue(), field="f", dtype="float32", shape=shape)


@given(st.binary(max_size=200), st.integers(0, 127))
@settings(deadline=None, max_examples=100)
def test_damage_is_an_error_of_ours_or_no_damage(noise, start):
    data = bytearray(npy(ARRAY))
    data[start : start + len(noise)] = noise
    try:
        read = read_array(bytes(data), field="f", dtype="float32", shape=(2, 3))
    except ManifestInvalid:
        return
    assert read.shape == (2, 3)
