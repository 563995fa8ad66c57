import numpy as np
import onnx
import pytest

from gdws_agent.backends.onnx_nodes import read_nodes
from gdws_agent.first_run.network import DENSE, INPUT, LAYOUTS, Shape, draw, draw_images, logits, to_onnx

SMALL = Shape(channels=(8, 16), image_size=8, rank=3)


@pytest.fixture(scope="module")
def network():
    return draw(SMALL)


@pytest.mark.parametrize("form", [DENSE, *LAYOUTS])
def test_every_form_computes_what_numpy_computes(network, form):
    runtime = pytest.importorskip("onnxruntime")
    images = draw_images(SMALL, 5)
    data = to_onnx(network, form)
    onnx.checker.check_model(onnx.load_from_string(data), full_check=True)
    (found,) = runtime.InferenceSession(data, providers=["CPUExecutionProvider"]).run(None, {INPUT: images})
    expected = logits(network, images)
    assert found.shape == (5, SMALL.classes)
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_the_forms_are_what_their_names_say(network):
    operators = {form: [node.operator for node in read_nodes(to_onnx(network, form))] for form in (DENSE, *LAYOUTS)}
    converted = len(network.layers)
    assert operators[DENSE].count("Conv") == 1 + converted
    assert operators["gather"].count("Gather") == converted
    assert operators["gather"].count("Conv") == operators["grouped"].count("Conv") == 1 + 2 * converted
    assert operators["stacked"].count("Conv") == 1 + (SMALL.rank + 1) * converted
    assert operators["stacked"].count("Concat") == converted


def test_an_unknown_layout_is_refused(network):
    with pytest.raises(ValueError, match="stacked"):
        to_onnx(network, "piled")


def test_multiply_accumulates_and_parameters_are_those_of_the_files(network):
    for form in (DENSE, *LAYOUTS):
        graph = onnx.load_from_string(to_onnx(network, form)).graph
        weights = sum(int(np.prod(each.dims)) for each in graph.initializer if each.data_type == onnx.TensorProto.FLOAT)
        assert network.parameters(form) == weights
    first = network.layers[0]
    assert first.macs(DENSE) == 8 * 8 * (8 * 8 * 9)
    assert first.macs("gather") == 8 * 8 * (8 * 3 * 9 + 8 * 8 * 3)


def test_the_network_that_boards_measure_is_of_realistic_size():
    shape = Shape()
    assert shape.input_shape == (3, 64, 64)
    network = draw(shape)
    assert 0.8e9 < network.macs(DENSE) < 1.2e9
    assert 3.5 < network.macs(DENSE) / network.macs("gather") < 4.5


def test_rounding_does_not_turn_its_answers_over():
    """INT8 moves logits by some percent of the largest; parity must fail for faults, not for that."""
    network = draw(SMALL)
    ordered = np.sort(logits(network, draw_images(SMALL, 16)), axis=1)
    assert ((ordered[:, -1] - ordered[:, -2]) / np.abs(ordered).max()).min() > 0.1


def test_the_same_seed_gives_the_same_network():
    assert to_onnx(draw(SMALL, seed=3), "gather") == to_onnx(draw(SMALL, seed=3), "gather")
    assert to_onnx(draw(SMALL, seed=3), "gather") != to_onnx(draw(SMALL, seed=4), "gather")


def test_images_are_pixels_that_differ():
    images = draw_images(SMALL, 4)
    assert (images.dtype, images.shape) == (np.float32, (4, 3, 8, 8))
    assert images.min() >= 0.0
    assert images.max() <= 1.0
    assert np.abs(images[0] - images[1]).max() > 0.1
