"""Networks that stay ONNX graphs: convolutions are converted inside them, and nothing else changes."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import onnx
import onnx.version_converter
import pytest
import torch
from onnx import helper
from torch import nn

import gdws
from gdws.compression.layers import GDWSConv2d
from gdws.compression.surgery import inspect
from gdws.errors import ModelError
from gdws.onnx_io.export import export
from gdws.onnx_io.int8 import QuantizedNetwork, quantize
from gdws.onnx_io.load import load_onnx
from gdws.onnx_io.run import run
from support import recurrent_graph
from support.onnx_graphs import model as graph
from support.recurrent_graph import CONVOLUTIONS, HEIGHT, RECURRENT, WIDTH

SHAPE = (2, HEIGHT, WIDTH)


@pytest.fixture(scope="module")
def tensors():
    return recurrent_graph.tensors()


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("graph") / "recurrent.onnx"
    onnx.save(recurrent_graph.recurrent(), path)
    return path


@pytest.fixture(scope="module")
def network(path):
    return load_onnx(path).module


@pytest.fixture(scope="module")
def images():
    return torch.rand(24, *SHAPE, generator=torch.Generator().manual_seed(1))


def test_it_says_why_it_stays_a_graph(path):
    found = load_onnx(path)
    assert "'lstm' (LSTM) cannot be rebuilt" in found.kept_as_graph
    assert str(path.parent) not in found.kept_as_graph  # bundles tell it, and they travel
    assert "no gradients" in found.notes[-1]
    assert found.difference < 1e-5


def test_a_file_in_int8_stays_a_graph_and_says_why(tmp_path):
    torch.manual_seed(0)
    dense = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 4 * 4, 5)).eval()
    pixels = np.random.default_rng(0).random((8, 2, 6, 6)).astype(np.float32)
    content = quantize(export(dense, (2, 6, 6)), pixels).content
    QuantizedNetwork(content, (2, 6, 6))  # from then on both operators can be rebuilt, by the twin alone
    (tmp_path / "int8.onnx").write_bytes(content)
    found = load_onnx(tmp_path / "int8.onnx")
    assert "it is quantised already (node " in found.notes[-1]
    assert str(tmp_path) not in found.notes[-1]
    np.testing.assert_allclose(found.module(torch.from_numpy(pixels)), run(content, [pixels])[0], atol=1e-5)


def test_its_convolutions_are_layers(network):
    layers = {layer.name: layer.left_alone for layer in inspect(network, SHAPE)}
    assert layers == {
        "stem": "the first convolution",
        "body_0/Conv": None,
        "body_1/Conv": None,
        "groups": "grouped convolution",
    }


def test_all_weights_are_counted_once(network, tensors):
    expected = sum(array.size for array in tensors.values() if array.dtype == np.float32)
    assert sum(parameter.numel() for parameter in network.parameters()) == expected


@pytest.mark.parametrize("layout", ["gather", "stacked", "grouped"])
def test_at_full_rank_it_computes_the_same(network, images, layout):
    full, _ = gdws.convert(network, beta=0.0, layout=layout, example_input=SHAPE)
    assert isinstance(full.get_submodule("body_0/Conv"), GDWSConv2d)
    expected = network(images)
    assert float((full(images) - expected).abs().max()) <= 1e-5 * float(expected.abs().max())
    [exported] = run(export(full, SHAPE), [images.numpy()])
    assert np.abs(exported - expected.numpy()).max() <= 1e-5 * float(expected.abs().max())


def test_all_other_nodes_and_weights_are_kept_byte_for_byte(network, path):
    small, _ = gdws.convert(network, mean_rank=2, example_input=SHAPE)
    before, after = onnx.load(path).graph, onnx.load_from_string(export(small, SHAPE)).graph
    kept = {node.SerializeToString() for node in after.node}
    gone = {node.name for node in before.node if node.SerializeToString() not in kept}
    assert gone == {"body.0/Conv", "body.1/Conv"}
    stored = {tensor.SerializeToString() for tensor in after.initializer}
    replaced = {tensor.name for tensor in before.initializer if tensor.SerializeToString() not in stored}
    assert {"w2", "w3"} <= replaced <= {"w2", "b2", "w3"}


def test_unconverted_it_is_the_graph_that_came(network, path):
    exported = onnx.load_from_string(export(network, SHAPE)).graph
    came = onnx.load(path).graph
    added = [node.op_type for node in exported.node if node not in list(came.node)]
    assert added == ["Identity", "Identity"], "for the names that a bundle has"
    assert list(exported.initializer) == list(came.initializer)


def test_data_tell_what_errors_weigh_by_the_energy_of_outputs(network, images):
    blind, _ = gdws.convert(network, mean_rank=1, example_input=SHAPE)
    fitted, plan = gdws.convert(network, mean_rank=1, data=images)
    assert plan.method == "data-aware"
    expected = network(images)
    errors = [float((module(images) - expected).square().sum()) for module in (blind, fitted)]
    assert errors[1] < 0.7 * errors[0]
    assert gdws.convert(network, mac_saving=1.5, data=images)[1].totals.macs_gdws < plan.totals.macs_dense / 1.5


def test_torch_around_it_is_exported_with_it(network, images):
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, x):
            return 2 * self.network((x - 0.5) / 0.25)

    module = Scaled().eval()
    [found] = run(export(module, SHAPE), [images.numpy()])
    np.testing.assert_allclose(found, module(images).numpy(), rtol=1e-4, atol=1e-5)


def test_the_names_of_a_bundle_may_be_names_inside(tensors, tmp_path):
    def renamed(node):
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.input[:] = [{"r1": "logits"}.get(name, name) for name in node.input]
        copy.output[:] = [{"r1": "logits"}.get(name, name) for name in node.output]
        return copy

    nodes = [renamed(node) for node in (*CONVOLUTIONS, *RECURRENT)]
    path = tmp_path / "clash.onnx"
    onnx.save(graph(nodes, tensors, ["n", *SHAPE], ["n", 5]), path)
    module = load_onnx(path).module
    x = torch.rand(2, *SHAPE)
    np.testing.assert_allclose(run(export(module, SHAPE), [x.numpy()])[0], module(x).numpy(), rtol=1e-4, atol=1e-6)


def test_a_weight_that_two_nodes_use_stays_one(tensors, tmp_path):
    nodes = [*CONVOLUTIONS]
    nodes[3] = helper.make_node("Conv", ["c2", "w2"], ["c3"], "twin", pads=[0, 1, 1, 1])
    path = tmp_path / "twins.onnx"
    onnx.save(graph([*nodes, *RECURRENT], tensors, ["n", *SHAPE], ["n", 5]), path)
    _, plan = gdws.convert(load_onnx(path).module, mean_rank=1, example_input=SHAPE)
    assert {layer.name: layer.shares for layer in plan.converted} == {"body_0/Conv": None, "twin": "body_0/Conv"}


def test_gradients_are_refused_in_words(network, images):
    with pytest.raises(ModelError, match="attacked by gradients"):
        network(images.clone().requires_grad_(True))
    with training_mode(network), pytest.raises(ModelError, match="trained"):
        network(images)


@contextmanager
def training_mode(network):
    network.train()
    yield
    network.eval()


def test_a_newer_opset_and_a_fixed_batch_are_brought_to_what_devices_take(tensors, tmp_path):
    made = graph([*CONVOLUTIONS, *RECURRENT], tensors, [1, *SHAPE], [1, 5])
    path = tmp_path / "newer.onnx"
    onnx.save(onnx.version_converter.convert_version(made, 18), path)
    found = load_onnx(path)
    exported = export(found.module, SHAPE)
    assert onnx.load_from_string(exported).opset_import[0].version == 17
    assert run(exported, [np.ones((3, *SHAPE), np.float32)])[0].shape == (3, 5)


@pytest.mark.parametrize("batch", ["n", 1])
def test_a_batch_that_is_not_the_first_axis_is_put_there(tensors, tmp_path, batch):
    """As the scores of recurrent layers come: (T, N, K)."""
    tensors = {**tensors, "out": tensors["head"]}
    nodes = [
        *CONVOLUTIONS,
        *RECURRENT[:2],
        helper.make_node("LSTM", ["sequence", "lw", "lr"], ["hidden"], "lstm", hidden_size=4),
        helper.make_node("Squeeze", ["hidden", "second"], ["columns"], "squeeze"),
        helper.make_node("MatMul", ["columns", "out"], ["y"], "classifier"),
    ]
    path = tmp_path / "sequence.onnx"
    onnx.save(graph(nodes, {**tensors, "second": np.int64([1])}, [batch, *SHAPE], [3, batch, 5]), path)
    found = load_onnx(path)
    assert any("batch first" in note for note in found.notes)
    x = np.random.default_rng(0).random((1, *SHAPE), dtype=np.float32)
    [expected] = run(path.read_bytes(), [x])
    np.testing.assert_allclose(found.module(torch.from_numpy(x)).numpy(), expected.swapaxes(0, 1), rtol=1e-4, atol=1e-6)
