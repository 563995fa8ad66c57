import numpy as np
import onnx
import pytest
import torch
from torch import nn

from gdws.datasets import Preprocessing
from gdws.errors import ModelError
from gdws.networks import zoo as nets
from gdws.networks.zoo.normalise import Normalise
from gdws.onnx_io.export import export
from gdws.onnx_io.preprocessing import put_first


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
    with pytest.raises(ModelError, match="3 channels, not 1"):
        model(torch.rand(1, 1, 32, 32))


def test_nothing_is_normalised_unless_asked_for():
    for options in ({}, {"normalisation": None}, {"normalisation": "none"}):
        assert isinstance(nets.build("preact-resnet18", width=2, **options).normalise, nn.Identity)


@pytest.mark.parametrize(
    "spec",
    [
        "cifar-11",
        {"mean": [0.5] * 2},
        {"mean": [0.5] * 3, "std": [0.0] * 3},
        {"mean": [0.5] * 3, "std": [0.5] * 2},
        {"scale": 0},
        {"channels": "brg"},
        {"gain": 2},
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


def test_what_a_network_expects_of_pixels():
    spec = {"scale": 255, "mean": [104, 117, 123], "std": [1], "channels": "bgr"}
    raw = nets.build("resnet20", width=2, normalisation=None).eval()
    first = nets.build("resnet20", width=2, normalisation=spec).eval()
    first.load_state_dict(raw.state_dict())
    x = torch.rand(2, 3, 32, 32)
    as_opencv_reads = 255 * x.flip(1) - torch.tensor([104.0, 117.0, 123.0]).view(-1, 1, 1)
    with torch.no_grad():
        torch.testing.assert_close(first(x), raw(as_opencv_reads), rtol=1e-4, atol=1e-4)
    assert Preprocessing.from_dict(spec).to_dict() == {**spec, "std": [1]}
    assert "255 * x - [104, 117, 123]) / 1, BGR" in str(Preprocessing.from_dict(spec))
    with pytest.raises(ModelError, match="takes 1"):
        nets.build("mnist-preact-resnet", width=2, normalisation={"channels": "bgr"})


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_it_becomes_the_first_nodes_of_an_onnx_file(channels_last, order):
    onnxruntime = pytest.importorskip("onnxruntime")
    shape = ["n", 4, 4, 3] if channels_last else ["n", 3, 4, 4]
    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name in "xy")
    nodes = [onnx.helper.make_node("Add", ["x", "x"], ["x_sub"]), onnx.helper.make_node("Relu", ["x_sub"], ["y"])]
    model = onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", [x], [y]), ir_version=8)
    model.opset_import[0].version = 17
    put_first(model, Preprocessing(255, (1, 2, 3), (2,), order), 3, channels_last=channels_last)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    images = np.random.default_rng(0).random((2, 4, 4, 3), dtype=np.float32)
    wanted = np.maximum(2 * (255 * images[..., :: -1 if order == "bgr" else 1] - [1, 2, 3]) / 2, 0)
    fed, expected = (each if channels_last else each.transpose(0, 3, 1, 2) for each in (images, wanted))
    np.testing.assert_allclose(session.run(None, {"x": fed})[0], expected, rtol=1e-4, atol=1e-4)
