"""Biases take back what rounding does to the mean of a channel, where that helps on other images."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from gdws.onnx_io.export import export
from gdws.onnx_io.int8 import SCHEMES, Int8Settings, quantize
from gdws.onnx_io.int8.bias import add_to_biases, bias_errors, correctable
from gdws.onnx_io.int8.points import find_points
from gdws.onnx_io.int8.ranges import recorder
from gdws.onnx_io.run import run

SHAPE = (4, 6, 6)


class Skewed(nn.Module):
    """Two convolutions whose small weights all lie just above the middle between two steps, and are rounded up."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(4, 4, 3, padding=1, bias=bias) for bias in (True, False))
        self.head = nn.Linear(4, 3)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for conv in (self.first, self.second):
                steps = torch.randint(0, 2, conv.weight.shape, generator=generator)
                conv.weight.copy_((steps + 0.51) / 127)
                conv.weight[:, 0, 0, 0] = 1.0  # a step is 1 / 127
            self.head.weight.copy_(torch.rand(self.head.weight.shape, generator=generator))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.second(torch.relu(self.first(x)))).mean(dim=(2, 3)))


def images(count: int = 40, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((count, *SHAPE)).astype(np.float32)


@pytest.fixture(scope="module")
def content() -> bytes:
    return export(Skewed().eval(), SHAPE)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_corrected_biases_bring_the_outputs_nearer_on_images_they_were_not_found_from(content, scheme):
    plain, corrected = (
        quantize(content, images(), Int8Settings(scheme=scheme, correct_biases=correct)) for correct in (False, True)
    )
    assert (plain.corrected, corrected.corrected) == (False, True)
    assert corrected.error < 0.5 * plain.error
    assert corrected.method == f"{corrected.ranges} ranges, biases corrected, {scheme}"
    unseen = images(seed=1)
    exact, before, after = (run(each, [unseen])[0] for each in (content, plain.content, corrected.content))
    assert np.linalg.norm(after - exact) < 0.5 * np.linalg.norm(before - exact)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_corrected_layers_have_the_means_of_the_network_in_floating_point(content, scheme):
    """On the images that they are corrected on, each layer behind others that were corrected."""
    balanced = quantize(content, images(), Int8Settings(scheme=scheme, ranges="min-max", correct_biases=False))
    model = onnx.load_from_string(content)
    layers = correctable(model, find_points(model, scheme).layers)
    assert len(layers) == 3
    corrected = quantize(content, images(), Int8Settings(scheme=scheme, ranges="min-max")).content
    fitted = images()[::2]
    last = layers[-1:]
    means = [recorder(each, last)(fitted)[last[0]].mean(axis=0) for each in (content, balanced.content, corrected)]
    exact, before, after = means
    assert np.abs(after - exact).max() < 0.05 * np.abs(before - exact).max()


def test_a_correction_that_does_harm_on_other_images_is_dropped():
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2)).eval()
    with torch.no_grad():
        network[1].weight.copy_(torch.tensor([[127.0, 0.51, 1.51, 0.51], [127.0, 1.51, 0.51, 0.51]]))
    signs = np.where(np.arange(20) % 2, -1, 1)[:, None, None, None]  # what is found from the first half is of one sign
    found = quantize(export(network, (4, 1, 1)), (images(20)[:, :, :1, :1] * signs).astype(np.float32))
    assert not found.corrected
    assert "biases" not in found.method


def test_layers_share_a_bias_and_not_what_it_lacks():
    model = onnx.load_from_string(export(nn.Sequential(nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)).eval(), SHAPE))
    first, second = (node for node in model.graph.node if node.op_type == "Conv")
    second.input[2] = first.input[2]
    before = onnx.numpy_helper.to_array(next(each for each in model.graph.initializer if each.name == first.input[2]))
    add_to_biases(model, {second.output[0]: np.arange(4.0)})
    constants = {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
    np.testing.assert_array_equal(constants[first.input[2]], before)
    np.testing.assert_allclose(constants[second.input[2]], before + np.arange(4), rtol=1e-6)


def test_a_file_lacks_nothing_of_itself(content):
    model = onnx.load_from_string(content)
    layers = correctable(model, find_points(model, "symmetric").layers)
    errors = bias_errors(content, content, layers, [images(5), images(3, seed=1)])
    assert list(errors) == list(layers)
    for error in errors.values():
        np.testing.assert_allclose(error, 0, atol=1e-5)


def test_products_without_a_bias_of_their_own_are_left():
    class Product(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.rand(6, 5))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x @ self.weight).mean(dim=(1, 2))

    model = onnx.load_from_string(export(Product().eval(), SHAPE))
    layers = find_points(model, "symmetric").layers
    assert layers
    assert correctable(model, layers) == ()
