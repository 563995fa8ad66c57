from pathlib import Path

import pytest

from gdws_agent.backends.base import EngineSpec
from gdws_agent.backends.interface import Tensor, check_interface
from gdws_agent.errors import BuildFailed
from gdws_contract.manifest import OutputSpec, TensorSpec

SPEC = EngineSpec(
    precision="fp32",
    batch_size=4,
    input=TensorSpec(name="input", shape=[3, 8, 8]),
    outputs=(OutputSpec(name="logits", shape=[10]),),
    threads=1,
    cache_dir=Path("unused"),
)


@pytest.mark.parametrize("shape", [[None, 3, 8, 8], [4, 3, 8, 8], [None, None, None, None]])
def test_shapes_that_agree(shape):
    check_interface([Tensor("input", "float32", shape)], ["features", "logits"], SPEC)


@pytest.mark.parametrize(
    ("inputs", "outputs", "words"),
    [
        ([], ["logits"], r"takes \[\]"),
        ([Tensor("images", "float32", [None, 3, 8, 8])], ["logits"], r"takes \['images'\]"),
        ([Tensor("input", "float32", [None, 3, 8, 8])] * 2, ["logits"], r"takes \['input', 'input'\]"),
        ([Tensor("input", "float32", [None, 3, 8, 8])], ["classes"], r"gives \['classes'\]"),
        ([Tensor("input", "float16", [None, 3, 8, 8])], ["logits"], "takes float16, the manifest says float32"),
        ([Tensor("input", None, [None, 3, 8, 8])], ["logits"], "takes None"),
        ([Tensor("input", "float32", [2, 3, 8, 8])], ["logits"], r"\[2, 3, 8, 8\], \[4, 3, 8, 8\] is asked for"),
        ([Tensor("input", "float32", [None, 3, 8])], ["logits"], r"\[any, 3, 8\]"),
    ],
)
def test_what_differs_is_named(inputs, outputs, words):
    with pytest.raises(BuildFailed, match=words):
        check_interface(inputs, outputs, SPEC)
