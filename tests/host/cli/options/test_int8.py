from __future__ import annotations

import pytest

from gdws.cli.options.int8 import Int8Options, Int8Reader
from gdws.errors import GdwsError
from gdws.onnx_io.int8 import Int8Settings


def test_options_are_settings():
    assert Int8Options().quantisation() is None
    assert Int8Options(int8=Int8Reader.tensorrt).quantisation() == Int8Settings(scheme="symmetric")
    found = Int8Options(int8=Int8Reader.onnxruntime, int8_skip=["a", "b.*"], int8_keep=2).quantisation()
    assert found == Int8Settings(scheme="asymmetric", skip=("a", "b.*"), keep=2)
    assert Int8Options(int8=Int8Reader.tensorrt, int8_limit=0.02).quantisation() == Int8Settings(limit=0.02)


@pytest.mark.parametrize("options", [{"int8_skip": ["a"]}, {"int8_keep": 1}, {"int8_limit": 0.1}])
def test_what_is_of_int8_needs_it(options):
    with pytest.raises(GdwsError, match="are for networks in INT8"):
        Int8Options(**options).quantisation()
