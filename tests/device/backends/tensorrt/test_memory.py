import pytest

from gdws_agent.backends.cuda.context import FreeMemory, PrimaryContext, free_memory
from gdws_agent.backends.tensorrt.memory import Need, check_memory, estimate_need
from gdws_agent.backends.tensorrt.options import Batches, BuilderOptions
from gdws_agent.errors import OutOfMemory
from support.bundles import tiny_parts
from support.fake_pycuda import Gpu
from support.fake_tensorrt import INetworkDefinition, make_tensorrt

MIB = 2**20


def need(fault=None, batch_size=1, precision="fp32"):
    import onnx

    network = INetworkDefinition()
    content = tiny_parts(faults={"gdws": fault} if fault else {})[1]["variants/gdws/model.onnx"]
    network._model = onnx.load_from_string(content)
    options = BuilderOptions(Batches(1, 1, batch_size), workspace_bytes=7)
    return estimate_need(make_tensorrt(Gpu()), network, len(content), options, precision)


def test_the_largest_layer_counts():
    # The depthwise convolution: 12 channels of 8 x 8 in and out. Its weights are no activations.
    found = need()
    assert found.activations_bytes == 4 * (2 * 12 * 8 * 8)
    assert found.workspace_bytes == 7
    assert found.weights_bytes > 2_000


@pytest.mark.parametrize(("precision", "share"), [("fp32", 1), ("tf32", 1), ("fp16", 2), ("int8", 4)])
def test_activations_grow_with_the_batch_and_shrink_with_the_precision(precision, share):
    one, eight = need(precision=precision), need(batch_size=8, precision=precision)
    assert eight.activations_bytes == 8 * one.activations_bytes
    assert one.activations_bytes == need().activations_bytes // share


def test_a_layer_that_nothing_can_hold():
    assert need("huge").activations_bytes >= 2**50


def test_what_fits_exactly_passes():
    check_memory(Need(1, 2, 3), FreeMemory(6, shared=False))
    with pytest.raises(OutOfMemory):
        check_memory(Need(1, 2, 4), FreeMemory(6, shared=False))


def test_the_figures_are_told():
    with pytest.raises(OutOfMemory) as caught:
        check_memory(Need(90 * MIB, 30 * MIB, 1024 * MIB), FreeMemory(512 * MIB, shared=True))
    assert caught.value.message == (
        "the build takes about 1144 MiB: 90 MiB for weights, 30 MiB for the activations of one layer, "
        "1024 MiB of workspace; 512 MiB of memory, shared by GPU and CPU, are free"
    )
    assert caught.value.hint


@pytest.mark.parametrize("shared", [False, True])
def test_free_memory_where_it_is_shared_is_at_least_the_systems(monkeypatch, shared):
    import psutil

    gpu = Gpu(memory_bytes=100, shared=shared)
    driver = gpu.module()[1]
    primary = PrimaryContext(driver)
    device = primary.retain()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 5_000})())
    assert free_memory(driver, device) == ((5_000, True) if shared else (100, False))
    gpu.memory_bytes = 9_000
    assert free_memory(driver, device).size_bytes == 9_000
    primary.release()
