import pytest

from gdws_agent.backends.tensorrt import maker as tensorrt_maker
from gdws_agent.backends.tensorrt.backend import TensorRtBackend
from gdws_agent.errors import BuildFailed, RunFailed
from support.backend_cases import images, is_clean, model, told
from support.bundles import CLASSES
from support.tensorrt_installed import install

pytest.importorskip("onnxruntime", reason="the double of TensorRT runs on onnxruntime")


def timed(monkeypatch, *found):
    """Let the trials take these medians, in milliseconds, or fail, in the order in which they are made."""
    remaining = list(found)

    def time_steps(step):
        step()
        result = remaining.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    monkeypatch.setattr(tensorrt_maker, "time_steps", time_steps)


@pytest.mark.parametrize(("medians", "kept"), [((3.0, 2.5), "all"), ((2.5, 3.0), "each"), ((2.0, 2.0), "each")])
def test_the_faster_is_kept_and_both_medians_are_told(monkeypatch, spec, medians, kept):
    trt, gpu = install(monkeypatch)
    timed(monkeypatch, *medians)
    with TensorRtBackend().build(model(), spec(batch_sizes=(1, 2, 5), batch_profile="measured")) as engine:
        assert engine.bind(images())()[0].shape == (2, CLASSES)
        assert told(engine, "profile") == {"each": "batch 2 alone", "all": "batch 1 to 5, tuned for 2"}[kept]
        assert told(engine, "batch_profile") == f"{kept}, measured: each {medians[0]:.3f} ms, all {medians[1]:.3f} ms"
    assert trt.builds == 2
    assert is_clean(gpu)


def test_where_both_are_the_same_one_is_made(monkeypatch, spec):
    trt, gpu = install(monkeypatch)
    timed(monkeypatch)
    with TensorRtBackend().build(model(), spec(batch_sizes=(2,), batch_profile="measured")) as engine:
        assert told(engine, "profile") == "batch 2 alone"
    assert trt.builds == 1
    assert is_clean(gpu)


def test_one_that_fails_loses(monkeypatch, spec):
    _, gpu = install(monkeypatch)
    timed(monkeypatch, RunFailed("no room"), 3.0)
    with TensorRtBackend().build(model(), spec(batch_sizes=(1, 2, 5), batch_profile="measured")) as engine:
        assert engine.bind(images())()[0].shape == (2, CLASSES)
        assert told(engine, "batch_profile") == "all, measured: each failed: no room, all 3.000 ms"
    assert is_clean(gpu)


def test_where_both_fail_the_first_failure_is_told(monkeypatch, spec):
    _, gpu = install(monkeypatch)
    timed(monkeypatch, BuildFailed("first"), RunFailed("second"))
    with pytest.raises(BuildFailed, match="first"):
        TensorRtBackend().build(model(), spec(batch_sizes=(1, 2, 5), batch_profile="measured"))
    assert is_clean(gpu)


def test_the_second_batch_size_finds_the_engine_for_all_in_the_cache(monkeypatch, spec):
    trt, _ = install(monkeypatch)
    timed(monkeypatch, 3.0, 2.0, 3.0, 2.0)
    backend = TensorRtBackend()
    for size, builds in [(1, 2), (2, 3)]:
        with backend.build(model(), spec(batch_size=size, batch_sizes=(1, 2), batch_profile="measured")) as engine:
            assert engine.build.from_cache == (size == 2)
        assert trt.builds == builds
