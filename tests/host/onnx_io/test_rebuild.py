"""ONNX files as torch modules: the same outputs, and refusals that name the culprit."""

from __future__ import annotations

import hashlib
import re
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from onnx2torch.utils import common
from torch import nn

import gdws
from gdws.compression.layers import GDWSConv2d
from gdws.errors import ModelError
from gdws.onnx_io.export import export
from gdws.onnx_io.load import load_onnx
from gdws.onnx_io.parity import TOLERANCE
from support.hostile_onnx import code_in_a_name, make_external
from support.networks import SmallResNet, seeded
from support.onnx_graphs import model as graph

SHAPE = (3, 16, 12)


@pytest.fixture(scope="module")
def net() -> nn.Module:
    return seeded(SmallResNet)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.onnx"


def test_operators_of_onnx2torch_find_the_opset_whatever_was_imported(net, path, monkeypatch):
    """Some of them ask torch for it while they are exported, in a module that newer releases of torch replace."""
    monkeypatch.setattr(common, "symbolic_helper", SimpleNamespace())
    gdws_network, _ = gdws.convert(net, mean_rank=1, example_input=SHAPE)
    path.write_bytes(export(gdws_network, SHAPE))
    rebuilt = load_onnx(path).module
    assert onnx.load_from_string(export(rebuilt, SHAPE)).opset_import[0].version == 17
    assert common.get_onnx_version()


def test_the_module_computes_what_the_file_does(net, path):
    path.write_bytes(export(net, SHAPE))
    found = load_onnx(path)
    images = torch.rand(5, *SHAPE)
    torch.testing.assert_close(found.module(images), net(images))
    assert found.input_shape == SHAPE
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found.difference <= TOLERANCE
    assert not found.module.training


def test_it_converts_and_exports_like_any_other(net, path):
    path.write_bytes(export(net, SHAPE))
    rebuilt = load_onnx(path).module
    full, plan = gdws.convert(rebuilt, beta=0.0, example_input=SHAPE)
    _, expected = gdws.convert(net, beta=0.0, example_input=SHAPE)
    assert [layer.ranks for layer in plan.layers] == [layer.ranks for layer in expected.layers]
    assert plan.totals.macs_gdws == expected.totals.macs_gdws
    assert any(isinstance(module, GDWSConv2d) for module in full.modules())
    images = torch.rand(2, *SHAPE)
    torch.testing.assert_close(full(images), net(images), rtol=1e-4, atol=1e-5)
    assert export(full, SHAPE)


@pytest.mark.parametrize("batch", [1, 4])
def test_a_batch_size_that_the_file_fixes_is_freed(net, path, batch):
    torch.onnx.export(net, (torch.rand(batch, *SHAPE),), path, dynamo=False, opset_version=13)
    found = load_onnx(path)
    images = torch.rand(7, *SHAPE)
    torch.testing.assert_close(found.module(images), net(images), rtol=1e-4, atol=1e-5)


def test_a_shape_that_the_file_leaves_open_is_asked_for(net, path):
    axes = {"images": {0: "batch", 2: "height", 3: "width"}}
    torch.onnx.export(net, (torch.rand(2, *SHAPE),), path, dynamo=False, input_names=["images"], dynamic_axes=axes)
    with pytest.raises(ModelError, match="does not define the size of its images") as caught:
        load_onnx(path)
    assert "--input-shape" in caught.value.hint
    assert load_onnx(path, (3, 20, 20)).input_shape == (3, 20, 20)
    with pytest.raises(ModelError, match=r"3x\?x\?, not 1x20x20"):
        load_onnx(path, (1, 20, 20))


def test_a_newer_opset_is_read(net, path):
    """Of operators that have not changed since those that onnx2torch knows."""
    content = onnx.load_model_from_string(export(net, SHAPE))
    path.write_bytes(onnx.version_converter.convert_version(content, 20).SerializeToString())
    images = torch.rand(2, *SHAPE)
    torch.testing.assert_close(load_onnx(path).module(images), net(images))


def written(path, nodes, tensors=None, shapes=(["n", 3, 4, 4], ["n", 3, 4, 4])):
    path.write_bytes(graph(nodes, tensors or {}, *shapes).SerializeToString())
    return path


def test_an_operator_without_a_converter_is_named(path):
    written(path, [helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Det", ["a"], ["y"], "odd")])
    found = load_onnx(path)
    assert re.search(r"node 'odd' \(Det\) cannot be rebuilt: opset 17", found.kept_as_graph)
    assert found.kept_as_graph in found.notes[-1]


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "not a valid ONNX"), (b"no model at all", "not a valid ONNX"), (b"\x08\x07", "not a valid ONNX")],
)
def test_files_that_are_no_onnx_are_refused(path, content, words):
    path.write_bytes(content)
    with pytest.raises(ModelError, match=words):
        load_onnx(path)


def test_a_missing_file(path):
    with pytest.raises(FileNotFoundError):
        load_onnx(path)


def test_other_interfaces(path):
    written(path, [helper.make_node("Relu", ["x"], ["y"])], shapes=(["n", 3, 1, 1, 1], ["n", 3, 1, 1, 1]))
    with pytest.raises(ModelError, match="float with 5 axes"):
        load_onnx(path)
    made = graph([helper.make_node("Add", ["x", "z"], ["y"])], {}, ["n", 3, 4, 4], ["n", 3, 4, 4])
    made.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, [1]))
    path.write_bytes(made.SerializeToString())
    with pytest.raises(ModelError, match="has 2 inputs: x, z"):
        load_onnx(path)


def test_outputs_that_are_not_finite(path):
    written(path, [helper.make_node("Div", ["x", "zero"], ["y"])], {"zero": np.zeros(1, np.float32)})
    with pytest.raises(ModelError, match="NaN or infinity"):
        load_onnx(path)


def test_a_module_that_computes_something_else_is_not_taken(net, path, monkeypatch):
    """As a faulty converter would make it."""
    import onnx2torch

    convert = onnx2torch.convert

    def faulty(model):
        return nn.Sequential(convert(model), nn.Softmax(dim=1))

    path.write_bytes(export(net, SHAPE))
    monkeypatch.setattr(onnx2torch, "convert", faulty)
    found = load_onnx(path)
    assert "differs from ONNX Runtime" in found.kept_as_graph
    torch.testing.assert_close(found.module(torch.ones(1, *SHAPE)), net(torch.ones(1, *SHAPE)))


def test_a_converter_that_fails_is_told_with_its_node(path):
    reshape = helper.make_node("Reshape", ["x", "shape"], ["y"], "folded", allowzero=1)
    written(path, [reshape], {"shape": np.int64([0, 3, -1])}, (["n", 3, 4, 4], ["n", 3, 16]))
    with pytest.raises(ModelError, match="folded"):  # and the graph itself does not run either
        load_onnx(path)


def test_a_name_is_not_executed(path, tmp_path):
    evil = code_in_a_name(f'open("{tmp_path}/written", "w")')
    assert "." not in evil, "onnx2torch would take it apart"
    nodes = [helper.make_node("Relu", ["x"], ["r"], "relu"), helper.make_node("Flatten", ["r"], ["y"], evil)]
    onnx.save(graph(nodes, {}, ["n", *SHAPE], ["n", 576]), path)
    found = load_onnx(path)
    found.module(torch.rand(1, *SHAPE))
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_weights_in_a_file_beside_it(net, path):
    content = export(net, SHAPE)
    onnx.save(onnx.load_from_string(content), path, save_as_external_data=True, location="w.bin", size_threshold=0)
    images = torch.rand(2, *SHAPE)
    torch.testing.assert_close(load_onnx(path).module(images), net(images))


def test_weights_elsewhere_are_refused(net, path):
    secret = path.parent.parent / "secret"
    secret.write_bytes(bytes(1_000))
    model = onnx.load_from_string(export(net, SHAPE))
    make_external(model.graph.initializer[0], "../secret")
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="not a file in its folder"):
        load_onnx(path)


@pytest.mark.parametrize(("shape", "hint"), [((12, 12, 3), "C,H,W"), ((3, 12), "without the batch")])
def test_a_shape_in_another_order_says_how_it_is_told(tmp_path, shape, hint):
    (tmp_path / "net.onnx").write_bytes(export(seeded(SmallResNet), (3, 12, 12)))
    with pytest.raises(ModelError, match="3x12x12, not") as caught:
        load_onnx(tmp_path / "net.onnx", shape)
    assert hint in str(caught.value.hint)
