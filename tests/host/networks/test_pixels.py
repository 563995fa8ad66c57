"""What a network expects of pixels, as the beginning of networks of every kind."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from gdws.cli.options.pixels import ChannelOrderName, PixelOptions
from gdws.datasets import Preprocessing
from gdws.errors import GdwsError
from gdws.networks import sources
from gdws.onnx_io.export import export
from support.networks import SmallResNet, seeded

BYTES = Preprocessing(255, (104.0, 117.0, 123.0), (2.0,), "bgr")
SHAPE = (3, 8, 8)
X = torch.rand(2, *SHAPE, generator=torch.Generator().manual_seed(0))


class Pair(nn.Module):
    """Logits, and something beside them."""

    def __init__(self) -> None:
        super().__init__()
        self.body = seeded(SmallResNet)

    def forward(self, x):
        return self.body(x), x


def as_opencv_reads(x: torch.Tensor) -> torch.Tensor:
    return (255 * x.flip(1) - torch.tensor([104.0, 117.0, 123.0]).view(-1, 1, 1)) / 2


def of_onnx(tmp_path, preprocessing):
    (tmp_path / "net.onnx").write_bytes(export(seeded(SmallResNet), SHAPE))
    return sources.load_onnx(tmp_path / "net.onnx", preprocessing=preprocessing), seeded(SmallResNet)


def of_module(tmp_path, preprocessing):
    """With the weights of a file, whose names are those of the network that the factory makes."""
    trained = seeded(SmallResNet, seed=7)
    save_file({f"body.{name}": weight for name, weight in trained.state_dict().items()}, tmp_path / "w.safetensors")
    file = sources.WeightsFile(str(tmp_path / "w.safetensors"))
    target = f"{__name__}:Pair"
    found = sources.load_module(target, SHAPE, output=0, preprocessing=preprocessing, weights=file)
    return found, trained


@pytest.mark.parametrize("load", [of_onnx, of_module])
def test_it_becomes_the_first_layer(tmp_path, load):
    source, dense = load(tmp_path, BYTES)
    with torch.no_grad():
        torch.testing.assert_close(source.module(X), dense(as_opencv_reads(X)), rtol=1e-3, atol=1e-3)
    assert source.provenance["preprocessing"] == BYTES.to_dict()
    assert "(255 * x - [104, 117, 123]) / 2, BGR" in source.notes[-1]
    plain, dense = load(tmp_path, None)
    with torch.no_grad():
        torch.testing.assert_close(plain.module(X), dense(X), rtol=1e-4, atol=1e-4)
    assert "pixels from 0 to 1, RGB, as they are; change this with --mean" in plain.notes[-1]
    exported = export(source.module, SHAPE)
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])
    [found] = session.run(None, {session.get_inputs()[0].name: X.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(found, source.module(X).numpy(), rtol=1e-3, atol=1e-3)


class Filter(nn.Module):
    """A network of signals (N, 2, L)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(2, 3, 5, padding=2)

    def forward(self, x):
        return self.conv(x).mean(dim=2)


@pytest.mark.parametrize("kind", ["onnx", "module"])
def test_signals_are_normalised_by_channel(tmp_path, kind):
    expects = Preprocessing(scale=2, mean=(1.0, -1.0), std=(4.0, 8.0))
    torch.manual_seed(0)
    network = Filter().eval()
    if kind == "onnx":
        (tmp_path / "net.onnx").write_bytes(export(network, (2, 16)))
        source = sources.load_onnx(tmp_path / "net.onnx", preprocessing=expects)
    else:
        source = sources.load_module(f"{__name__}:Filter", (2, 16), preprocessing=expects)
        source.module.network.load_state_dict(network.state_dict())
    x = 10 * torch.randn(4, 2, 16)
    given = (2 * x - torch.tensor([[1.0], [-1.0]])) / torch.tensor([[4.0], [8.0]])
    with torch.no_grad():
        torch.testing.assert_close(source.module(x), network(given), rtol=1e-4, atol=1e-4)
    assert source.notes[-1] == "values x of signals are passed to it as (2 * x - [1, -1]) / [4, 8]"


def test_options():
    assert PixelOptions().preprocessing() is None
    assert PixelOptions(normalisation="none").preprocessing() == Preprocessing()
    assert PixelOptions(normalisation="svhn").preprocessing() == Preprocessing(mean=(0.5,) * 3, std=(0.5,) * 3)
    given = PixelOptions(mean="104,117,123", std="2", scale=255, channels=ChannelOrderName.bgr)
    assert given.preprocessing() == BYTES
    for options, message in (
        (PixelOptions(mean="a,b"), "not a list of numbers"),
        (PixelOptions(std="0"), "std of the preprocessing"),
        (PixelOptions(mean="1", normalisation="svhn"), "and --mean exclude each other"),
        (PixelOptions(normalisation="blue"), "there is no normalisation 'blue'"),
    ):
        with pytest.raises(GdwsError, match=message):
            options.preprocessing()
