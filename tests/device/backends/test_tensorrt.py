"""The TensorRT backend on stand-ins for TensorRT and pycuda: what the conformance suite does not ask."""

from __future__ import annotations

import subprocess
import sys
import threading

import numpy as np
import pytest

from gdws_agent.backends import tensorrt as module
from gdws_agent.backends.base import EngineSpec
from gdws_agent.backends.errors import (
    BackendUnavailable,
    OutOfMemory,
    RunFailed,
    UnsupportedPrecision,
)
from gdws_agent.backends.tensorrt import TensorRtBackend
from gdws_contract.manifest import TensorSpec
from support.bundles import CLASSES, INPUT_SHAPE, tiny_parts
from support.tensorrt_installed import install

pytest.importorskip("onnxruntime", reason="the double of TensorRT runs on onnxruntime")


@pytest.fixture
def spec(tmp_path):
    def make(precision="fp32", batch_size=2):
        return EngineSpec(
            precision=precision,
            batch_size=batch_size,
            input=TensorSpec(name="input", shape=list(INPUT_SHAPE)),
            output=TensorSpec(name="logits", shape=[CLASSES]),
            threads=1,
            cache_dir=tmp_path,
        )

    return make


def model(seed=0):
    return tiny_parts(seed=seed)[1]["variants/gdws/model.onnx"]


def images(batch_size=2, seed=0):
    return np.random.default_rng(seed).random((batch_size, *INPUT_SHAPE), np.float32)


def is_clean(gpu):
    return not gpu.memory and not gpu.stack and gpu.retained == 0


class TestProbe:
    def test_on_a_jetson(self, monkeypatch):
        install(monkeypatch)
        availability = TensorRtBackend().probe()
        assert availability.available
        assert availability.precisions == ["fp32", "tf32", "fp16"]
        assert availability.detail == {"gpu": "/dev/nvhost-gpu"}

    @pytest.mark.parametrize("missing", ["tensorrt", "pycuda"])
    def test_a_missing_package_is_named_with_advice(self, monkeypatch, missing):
        install(monkeypatch)
        monkeypatch.setattr(module, "is_installed", lambda name: name != missing)
        availability = TensorRtBackend().probe()
        assert not availability.available
        assert (availability.reason or "").startswith(f"{missing} is not installed; ")

    def test_no_gpu(self, monkeypatch):
        install(monkeypatch)
        monkeypatch.setattr(module, "find_gpu", lambda: None)
        assert "runtime nvidia" in (TensorRtBackend().probe().reason or "")

    def test_it_loads_nothing(self):
        code = (
            "import sys; from gdws_agent.backends.tensorrt import TensorRtBackend; TensorRtBackend().probe();"
            "print([name for name in ('tensorrt', 'pycuda', 'numpy', 'torch') if name in sys.modules])"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[]"


class TestStarting:
    @pytest.mark.parametrize(("package", "name"), [("tensorrt", "tensorrt"), ("pycuda.driver", "pycuda")])
    def test_an_installation_that_does_not_load(self, monkeypatch, spec, package, name):
        install(monkeypatch)
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(BackendUnavailable, match=f"{name} cannot be loaded") as caught:
            TensorRtBackend().build(model(), spec())
        assert caught.value.hint

    def test_a_gpu_that_does_not_start(self, monkeypatch, spec):
        _, gpu = install(monkeypatch)
        driver = sys.modules["pycuda.driver"]

        def fail(flags=0):
            raise driver.LogicError("cuInit failed: no CUDA-capable device is detected")

        monkeypatch.setattr(driver, "init", fail)
        with pytest.raises(BackendUnavailable, match="no CUDA-capable device") as caught:
            TensorRtBackend().build(model(), spec())
        assert "runtime nvidia" in (caught.value.hint or "")
        assert is_clean(gpu)

    def test_a_release_that_is_too_old(self, monkeypatch, spec):
        install(monkeypatch, version="8.2.1.9", lacking=["IExecutionContext.execute_async_v3"])
        with pytest.raises(BackendUnavailable, match="too old"):
            TensorRtBackend().build(model(), spec())

    def test_a_precision_that_the_gpu_lacks(self, monkeypatch, spec):
        _, gpu = install(monkeypatch)
        with pytest.raises(UnsupportedPrecision, match="tf32"):
            TensorRtBackend().build(model(), spec("tf32"))
        assert is_clean(gpu)


class TestCache:
    def test_the_second_build_comes_from_it(self, monkeypatch, spec):
        trt, _ = install(monkeypatch)
        with TensorRtBackend().build(model(), spec()) as first:
            expected = first.bind(images())().copy()
        with TensorRtBackend().build(model(), spec()) as second:
            assert np.array_equal(second.bind(images())(), expected)
        assert trt.builds == 1
        assert (first.build.from_cache, second.build.from_cache) == (False, True)
        assert first.build.time_s == second.build.time_s > 0
        assert first.build.size_bytes == second.build.size_bytes > 1_000

    def test_another_model_precision_batch_or_release_does_not(self, monkeypatch, spec):
        trt, _ = install(monkeypatch)
        for content, wanted in [
            (model(), spec()),
            (model(seed=1), spec()),
            (model(), spec("fp16")),
            (model(), spec(batch_size=3)),
        ]:
            with TensorRtBackend().build(content, wanted) as engine:
                assert not engine.build.from_cache
        assert trt.builds == 4
        newer, _ = install(monkeypatch, version="8.6.2")
        with TensorRtBackend().build(model(), spec()) as engine:
            assert not engine.build.from_cache
        assert newer.builds == 1

    def test_a_damaged_file_is_built_anew_with_a_note(self, monkeypatch, spec, tmp_path):
        trt, _ = install(monkeypatch)
        with TensorRtBackend().build(model(), spec()):
            pass
        for path in (tmp_path / "tensorrt").iterdir():
            path.write_bytes(path.read_bytes()[:-1] + b"?")
        with TensorRtBackend().build(model(), spec()) as engine:
            assert any(
                option.startswith("cache=rebuilt, the cached file is damaged") for option in engine.build.options
            )
        assert trt.builds == 2

    def test_an_engine_that_tensorrt_refuses_is_built_anew_with_its_words(self, monkeypatch, spec):
        trt, gpu = install(monkeypatch)
        # A key that does not tell releases apart, as when one installs a patched TensorRT of the same version.
        monkeypatch.setattr(module, "fingerprint", lambda facts: "timings" if "what" in facts else "engine")
        genuine, trt.__version__ = trt.__version__, "8.0"
        with TensorRtBackend().build(model(), spec()):
            pass
        trt.__version__ = genuine
        with TensorRtBackend().build(model(), spec()) as engine:
            notes = [option for option in engine.build.options if option.startswith("cache=rebuilt")]
        assert "not compatible with this version" in notes[0]
        assert is_clean(gpu)

    def test_a_folder_that_cannot_be_written(self, monkeypatch, spec, tmp_path):
        install(monkeypatch)
        (tmp_path / "tensorrt").write_text("in the way")
        with TensorRtBackend().build(model(), spec()) as engine:
            assert any(option.startswith("cache=not kept") for option in engine.build.options)
            assert engine.bind(images())().shape == (2, CLASSES)


class TestRunning:
    def test_the_precision_is_read_back(self, monkeypatch, spec):
        install(monkeypatch)
        with TensorRtBackend().build(model(), spec("fp16")) as engine:
            assert engine.build.precision == "fp16"
            assert "layers_fp16=1" in engine.build.options

    def test_a_flag_that_did_not_take_is_told(self, monkeypatch, spec):
        trt, _ = install(monkeypatch)
        monkeypatch.setattr(trt.IBuilderConfig, "set_flag", lambda self, flag: None)
        with TensorRtBackend().build(model(), spec("fp16")) as engine:
            assert engine.build.precision == "fp32"

    def test_times_by_the_gpus_own_clock(self, monkeypatch, spec):
        install(monkeypatch)
        with TensorRtBackend().build(model(), spec()) as engine:
            step = engine.bind(images())
            with pytest.raises(RunFailed, match="no step has run"):
                engine.device_times()
            step()
            times = engine.device_times()
            assert min(times) >= 0
            assert times.compute_ms > 0
        with pytest.raises(RunFailed, match="freed"):
            engine.device_times()

    def test_outputs_hold_until_the_steps_next_call(self, monkeypatch, spec):
        install(monkeypatch)
        with TensorRtBackend().build(model(), spec()) as engine:
            first, second = engine.bind(images(seed=1)), engine.bind(images(seed=2))
            held = first()
            kept = held.copy()
            assert not np.array_equal(second(), kept)
            assert np.array_equal(held, kept)

    def test_a_step_of_a_freed_engine(self, monkeypatch, spec):
        install(monkeypatch)
        with TensorRtBackend().build(model(), spec()) as engine:
            step = engine.bind(images())
        with pytest.raises(RunFailed, match="freed"):
            step()

    def test_engines_freed_in_any_order(self, monkeypatch, spec):
        _, gpu = install(monkeypatch)
        backend = TensorRtBackend()
        engines = [backend.build(model(seed), spec()) for seed in range(3)]
        for index in (0, 2):
            engines[index].__exit__(None, None, None)
        assert engines[1].bind(images())().shape == (2, CLASSES)
        engines[1].__exit__(None, None, None)
        assert is_clean(gpu)

    def test_no_memory_for_the_buffers(self, monkeypatch, spec):
        _, gpu = install(monkeypatch, memory_bytes=100)
        with pytest.raises(OutOfMemory) as caught:
            TensorRtBackend().build(model(), spec())
        assert caught.value.hint
        assert is_clean(gpu)

    def test_an_engine_that_refuses_to_run(self, monkeypatch, spec):
        trt, _ = install(monkeypatch)
        with TensorRtBackend().build(model(), spec()) as engine:
            step = engine.bind(images())
            monkeypatch.setattr(trt.IExecutionContext, "execute_async_v3", lambda self, stream_handle: False)
            with pytest.raises(RunFailed, match="gave no reason"):
                step()

    def test_another_thread_is_refused(self, monkeypatch, spec):
        _, gpu = install(monkeypatch)
        backend = TensorRtBackend()
        caught = []

        def elsewhere():
            try:
                backend.build(model(), spec())
            except RunFailed as error:
                caught.append(error.message)

        with backend.build(model(), spec()):
            thread = threading.Thread(target=elsewhere)
            thread.start()
            thread.join()
        assert "thread" in caught[0]
        assert is_clean(gpu)
