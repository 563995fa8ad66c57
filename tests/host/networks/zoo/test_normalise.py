import numpy as np
import pytest
import torch
from torch import nn

from gdws.errors import ModelError
from gdws.networks import zoo as nets
from gdws.networks.zoo.normalise import Normalise
from gdws.onnx_io.export import export


def test_pixels_are_normalised_by_channel():
    layer = Normalise((0.5, 0.25, 0.0), (0.5, 0.25, 2.0))
    x = torch.tensor([1.0, 0.5, 1.0]).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    assert torch.equal(layer(x), torch.tensor([1.0, 1.0, 0.5]).view(1, 3, 1, 1).expand(1, 3, 2, 2))


@pytest.mark.parametrize(
    "name", ["preact-resnet18", "vgg16-hydra", "wrn28-4", "mobilenetv2", "resnet50", "robnet-free"]
)
def test_every_network_normalises_first_and_keeps_its_keys(name):
    torch.manual_seed(0)
    raw = nets.build(name, width=4).eval()
    first = nets.build(name, width=4, normalisation="cifar10").eval()
    assert first.state_dict().keys() == raw.state_dict().keys()
    first.load_state_dict(raw.state_dict())
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in nets.NORMALISATIONS["cifar10"])
    x = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(first(x), raw((x - mean) / std))


def test_one_channel_is_not_spread_over_three():
    model = nets.build("preact-resnet18", width=2, normalisation="svhn").eval()
    with pytest.raises(ModelError, match="3 channels, not of 1"):
        model(torch.rand(1, 1, 32, 32))


def test_nothing_is_normalised_unless_asked_for():
    for options in ({}, {"normalisation": None}, {"normalisation": "none"}):
        assert isinstance(nets.build("preact-resnet18", width=2, **options).normalise, nn.Identity)


@pytest.mark.parametrize(
    "spec",
    [
        "cifar-11",
        {"mean": [0.5], "std": [0.5]},
        {"mean": [0.5] * 3, "std": [0.0] * 3},
        {"mean": [0.5] * 3},
        {"mean": [0.5] * 3, "std": [0.5] * 2},
        3,
    ],
)
def test_normalisations_that_cannot_be(spec):
    with pytest.raises(ModelError, match="preact-resnet18"):
        nets.build("preact-resnet18", width=2, normalisation=spec)


def test_an_exported_network_takes_pixels():
    onnxruntime = pytest.importorskip("onnxruntime")
    torch.manual_seed(0)
    model = nets.build("resnet20", width=4, normalisation="cifar10").eval()
    session = onnxruntime.InferenceSession(export(model, (3, 32, 32)), providers=["CPUExecutionProvider"])
    x = torch.rand(2, 3, 32, 32)
    [logits] = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(logits, model(x).numpy(), rtol=1e-4, atol=1e-4)
