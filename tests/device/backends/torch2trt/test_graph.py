from pathlib import Path

import pytest

from gdws_agent.backends.base import EngineSpec
from gdws_agent.backends.torch.eager import eager_network
from gdws_agent.backends.torch2trt.graph import native_form
from gdws_contract.manifest import OutputSpec, TensorSpec
from support.exported import FORMS, NETWORKS, exported
from support.fake_torch2trt import REAL

torch = pytest.importorskip("torch", reason="torch is not installed here")
pytest.importorskip("onnx2torch", reason="onnx2torch is not installed here")
pytest.importorskip("gdws", reason="the host side is not installed here")

#: Networks whose every layer torch2trt can convert, but for gathers and slices.
PLAIN = ("small", "sharing", "preact-resnet18", "mnist-preact-resnet", "dilated")


def network(name, form):
    content, images, logits = exported(name, form)
    spec = EngineSpec(
        precision="fp32",
        batch_size=2,
        input=TensorSpec(name="input", shape=list(NETWORKS[name])),
        outputs=(OutputSpec(name="logits", shape=[logits.shape[1]]),),
        threads=1,
        cache_dir=Path(),
    )
    return eager_network(content, spec), torch.tensor(images)


@pytest.mark.parametrize("form", ["dense", "stacked", "grouped"])
@pytest.mark.parametrize("name", PLAIN)
def test_layouts_without_a_gather_go_natively_and_compute_the_same(name, form):
    given, images = network(name, form)
    native = native_form(torch, given, REAL).network

    assert native is not None
    with torch.no_grad():
        assert torch.equal(native.module(images), given.module(images))


@pytest.mark.parametrize("name", ["small", "preact-resnet18"])
def test_no_function_is_held_from_before(name):
    """What the graph calls by itself is looked up when it is called, so that a replacement is seen."""
    given, images = network(name, "stacked")
    native = native_form(torch, given, REAL).network
    calls = []
    real = torch.add

    def seen(*arguments):
        calls.append(arguments)
        return real(*arguments)

    torch.add = seen
    try:
        with torch.no_grad():
            native.module(images)
    finally:
        torch.add = real
    assert len(calls) == sum(node.operator == "Add" for node in given.nodes.values())


@pytest.mark.parametrize(
    ("name", "form", "reason"),
    [
        ("small", "gather", "conv1.depthwise/Gather is a Gather"),
        ("small", "no ranks", "conv1.depthwise/Slice is a Slice"),
        ("reflect", "dense", "is a Pad"),
        ("even", "dense", "0/Conv is a Conv"),
    ],
)
def test_what_has_no_converter_is_named(name, form, reason):
    found = native_form(torch, network(name, form)[0], REAL)

    assert found.network is None
    assert reason in (found.reason or "")


def test_a_release_without_a_converter_is_named():
    fewer = [each for each in REAL if each != "torch.add"]
    assert native_form(torch, network("small", "dense")[0], fewer).reason == (
        "this torch2trt has no converter for torch.add"
    )


def test_a_sum_with_a_constant_is_not_taken():
    given, _ = network("small", "no ranks")
    nodes = {target: node for target, node in given.nodes.items() if node.operator != "Slice"}
    sums = [node for node in nodes.values() if node.operator == "Add" and "pointwise" in node.name]
    assert sums
    assert native_form(torch, given, REAL).network is None


@pytest.mark.parametrize("form", FORMS)
def test_the_network_itself_is_left_as_it_is(form):
    given, images = network("small", form)
    before = given.module.code
    with torch.no_grad():
        expected = given.module(images)
        native_form(torch, given, REAL)
        assert torch.equal(given.module(images), expected)
    assert given.module.code == before
