"""Ranks that shape inference loses, so that files are rebuilt rather than kept as graphs."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

from gdws.onnx_io.load import load_onnx
from gdws.onnx_io.ranks import declare_ranks
from support.onnx_graphs import FLOAT, model


def normalised_behind_a_computed_shape() -> onnx.ModelProto:
    """x (n, 4, 6, 6) -> Reshape to its shape, cut at a computed length -> Conv -> BatchNormalization."""
    rng = np.random.default_rng(0)
    vectors = {name: rng.uniform(0.5, 1.5, 5).astype(np.float32) for name in ("scale", "bias", "mean", "variance")}
    return model(
        [
            helper.make_node("Shape", ["x"], ["shape"]),
            helper.make_node("Mul", ["shape", "none"], ["zeros"]),
            helper.make_node("ReduceMax", ["zeros"], ["zero"]),
            helper.make_node("Add", ["zero", "four"], ["end"]),
            helper.make_node("Slice", ["shape", "start", "end"], ["target"]),
            helper.make_node("Reshape", ["x", "target"], ["same"]),
            helper.make_node("Conv", ["same", "weight"], ["convolved"], pads=[1, 1, 1, 1]),
            helper.make_node("BatchNormalization", ["convolved", *vectors], ["y"]),
        ],
        {
            "none": np.int64([0]),
            "start": np.int64([0]),
            "four": np.int64([4]),
            "weight": rng.normal(size=(5, 4, 3, 3)).astype(np.float32),
            **vectors,
        },
        ["n", 4, 6, 6],
        ["n", 5, 6, 6],
    )


def test_a_normalisation_behind_a_computed_shape_is_rebuilt(tmp_path):
    onnx.save(normalised_behind_a_computed_shape(), tmp_path / "net.onnx")
    assert load_onnx(tmp_path / "net.onnx").kept_as_graph is None


@pytest.mark.parametrize("declared", [None, [], ["n", 5, 6, 6]], ids=["nowhere", "without a shape", "in full"])
def test_what_the_file_declares_stays(declared):
    made = normalised_behind_a_computed_shape()
    if declared is not None:
        made.graph.value_info.append(helper.make_tensor_value_info("convolved", FLOAT, declared or None))
    declare_ranks(made)
    [value] = made.graph.value_info
    axes = value.type.tensor_type.shape.dim
    assert [axis.dim_param or axis.dim_value for axis in axes] == (declared or [0, 0, 0, 0])
