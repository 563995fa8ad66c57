"""A network in INT8 in training computes what its twin does, has gradients, and goes back into its file."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from torch import nn

import gdws
from gdws.errors import ModelError
from gdws.onnx_io.export import export
from gdws.onnx_io.int8 import SCHEMES, Int8Settings, QuantizedNetwork, quantize
from gdws.onnx_io.int8.in_training import NetworkInTraining
from gdws.onnx_io.run import run
from support.networks import Sharing, SmallResNet, seeded

SHAPE = (3, 12, 12)


def pictures(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random((count, *SHAPE)).astype(np.float32)


def quantized(network: nn.Module, **settings: object) -> bytes:
    return quantize(export(network, SHAPE), pictures(16, 0), Int8Settings(**settings)).content


def stacked() -> nn.Module:
    return gdws.convert(seeded(SmallResNet), mean_rank=2, layout="stacked", example_input=SHAPE)[0]


def outputs(network: nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return network(torch.from_numpy(pictures(64, 1)))


def nearly_the_same(mine: torch.Tensor, theirs: torch.Tensor) -> bool:
    """But for a few values that the last bit, or a bias that the file has in integers, moves to the next integer."""
    differs = ((mine - theirs).abs() > 1e-5 * theirs.abs().max()).any(dim=1)
    return bool(differs.float().mean() < 0.3) and bool((mine - theirs).abs().max() < 0.005 * theirs.abs().max())


def descend(network: NetworkInTraining, steps: int = 3) -> None:
    optimizer = torch.optim.SGD([each for each in network.parameters() if each.requires_grad], lr=0.05)
    for seed in range(steps):
        x = torch.from_numpy(pictures(8, 10 + seed))
        optimizer.zero_grad()
        torch.autograd.backward(nn.functional.cross_entropy(network(x), torch.arange(8) % 2))
        optimizer.step()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("make", [lambda: seeded(SmallResNet), stacked, lambda: seeded(Sharing)])
def test_its_file_computes_what_it_does_before_and_after_it_descends(scheme, make):
    content = quantized(make(), scheme=scheme)
    network = NetworkInTraining(content, SHAPE)
    start = QuantizedNetwork(content, SHAPE)
    assert nearly_the_same(outputs(network), outputs(start))
    assert nearly_the_same(outputs(QuantizedNetwork(network.content(), SHAPE)), outputs(start))
    descend(network)
    tuned = network.content()
    assert not nearly_the_same(outputs(network), outputs(start))
    assert nearly_the_same(outputs(QuantizedNetwork(tuned, SHAPE)), outputs(network))
    theirs = torch.from_numpy(run(tuned, [pictures(64, 1)])[0])
    assert nearly_the_same(outputs(network), theirs)


@pytest.mark.parametrize("skip", [(), ("stem", "head")])
def test_all_weights_and_biases_descend(skip):
    network = NetworkInTraining(quantized(seeded(SmallResNet), scheme="asymmetric", skip=skip), SHAPE)
    torch.autograd.backward(network(torch.from_numpy(pictures(4, 0))).square().sum())
    trained = {name: each for name, each in network.named_parameters() if each.requires_grad}
    assert len(trained) == 10  # five layers
    assert all(each.grad is not None and each.grad.abs().sum() > 0 for each in trained.values())


def test_the_grids_of_activations_stay():
    content = quantized(seeded(SmallResNet), scheme="asymmetric")
    network = NetworkInTraining(content, SHAPE)
    descend(network)
    before, after = (
        {each.name: onnx.numpy_helper.to_array(each) for each in onnx.load_from_string(file).graph.initializer}
        for file in (content, network.content())
    )
    assert before.keys() == after.keys()
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed
    assert all(".weight" in name or "_bias" in name for name in changed)
    assert any(name.endswith("_quantized") for name in changed)


def test_layers_that_share_a_weight_still_do():
    network = NetworkInTraining(quantized(seeded(Sharing)), SHAPE)
    descend(network)
    file = onnx.load_from_string(network.content())
    assert sum(each.name == "body.weight_quantized" for each in file.graph.initializer) == 1


def test_a_network_without_layers_is_refused():
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> g (float[N, 3] x) => (float[N, 3] y) { y = Relu(x) }'
    )
    with pytest.raises(ModelError, match="no layer that can be trained"):
        NetworkInTraining(model.SerializeToString(), (3,))
