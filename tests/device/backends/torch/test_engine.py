"""The part of an engine that is of the GPU, on a stand-in; the rest is in the conformance suite."""

import numpy as np
import pytest

from gdws_agent.backends.torch import backend as pytorch
from gdws_agent.errors import OutOfMemory, RunFailed
from support.backend_cases import images, model
from support.bundles import CLASSES
from support.cuda_torch_installed import install_cuda_torch

pytest.importorskip("onnx2torch", reason="onnx2torch is not installed here")


@pytest.fixture
def torch(monkeypatch):
    return install_cuda_torch(monkeypatch)


@pytest.fixture
def engine(torch, spec):
    with pytorch.PyTorchBackend().build(model(), spec()) as made:
        yield made


def test_a_step_goes_through_page_locked_memory(engine, torch):
    step = engine.bind(images())
    sent, received = torch.pinned

    assert np.array_equal(sent.numpy(), images())
    logits = step()[0]
    assert np.shares_memory(logits, received.numpy())


def test_each_binding_has_memory_of_its_own(engine, torch):
    first, second = engine.bind(images()), engine.bind(images()[::-1].copy())
    expected = first()[0].copy()
    second()

    assert np.array_equal(first()[0], expected)
    assert len(torch.pinned) == 4


def test_the_stream_is_waited_for_before_the_logits_are_read(engine, torch, monkeypatch):
    step = engine.bind(images())
    waited = []
    monkeypatch.setattr(torch.cuda.current_stream(), "synchronize", lambda: waited.append(1))
    step()
    assert waited == [1]


def test_device_times_are_of_events_in_their_order(engine):
    engine.bind(images())()
    times = engine.device_times()

    assert min(times) >= 0
    assert times.compute_ms > 0


def test_a_profile_is_by_the_gpus_clock(engine):
    layers = engine.profile(images(), 2)

    assert engine.profiler == "torch forward hooks, CUDA events"
    assert sum(layer.share for layer in layers) == pytest.approx(1)


def test_logits_of_another_shape_are_refused(engine):
    step = engine.bind(images())
    network = engine._network
    engine._network = network._replace(module=lambda images: network.module(images)[:, :-1])

    with pytest.raises(RunFailed, match=rf"gives \(2, {CLASSES - 1}\), not \(2, {CLASSES}\)"):
        step()


def test_no_page_locked_memory_is_typed(engine, torch, monkeypatch):
    def fail(*size, **options):
        raise RuntimeError("CUDA error: out of memory")

    monkeypatch.setattr(torch, "empty", fail)
    with pytest.raises(OutOfMemory, match="page-locked"):
        engine.bind(images())


def test_freeing_gives_memory_back(engine, torch):
    engine.__exit__(None, None, None)
    assert torch.cuda.emptied == 1
