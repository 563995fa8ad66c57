from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from gdws.onnx_io.load import load_onnx


def written(path, nodes, weights):
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", *shape])
        for name, shape in (("x", (3, 4, 4)), ("y", (6,)))
    )
    constants = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
    model = helper.make_model(helper.make_graph(nodes, "g", [x], [y], constants), ir_version=8)
    model.opset_import[0].version = 17
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(("bias", "biased"), [((6,), True), ((1, 6), False), (None, False)])
def test_a_product_and_a_sum_are_a_linear_layer(tmp_path, bias, biased):
    draw = np.random.default_rng(0).standard_normal
    weights = {"w": draw((48, 6))} | ({} if bias is None else {"b": draw(bias)})
    nodes = [helper.make_node("Flatten", ["x"], ["f"]), helper.make_node("MatMul", ["f", "w"], ["m" if bias else "y"])]
    if bias:
        nodes.append(helper.make_node("Add", ["b", "m"], ["y"]))
    module = load_onnx(written(tmp_path / "a.onnx", nodes, weights)).module
    [layer] = [each for each in module.modules() if isinstance(each, nn.Linear)]
    assert (layer.bias is not None) is biased
    assert sum(parameter.numel() for parameter in module.parameters()) == 48 * 6 + 6 * biased


def test_a_product_that_is_used_twice_keeps_its_sum(tmp_path):
    draw = np.random.default_rng(0).standard_normal
    nodes = [
        helper.make_node("Flatten", ["x"], ["f"]),
        helper.make_node("MatMul", ["f", "w"], ["m"]),
        helper.make_node("Add", ["m", "b"], ["s"]),
        helper.make_node("Mul", ["m", "s"], ["y"]),
    ]
    module = load_onnx(written(tmp_path / "a.onnx", nodes, {"w": draw((48, 6)), "b": draw(6)})).module
    [layer] = [each for each in module.modules() if isinstance(each, nn.Linear)]
    assert layer.bias is None
    assert module(torch.zeros(1, 3, 4, 4)).abs().max() == 0
