"""The TensorRT backend on stand-ins for TensorRT and pycuda: what the conformance suite does not ask."""

import sys

import numpy as np
import pytest

from gdws_agent.backends.cuda import context as cuda_context
from gdws_agent.backends.cuda import presence
from gdws_agent.backends.tensorrt.backend import TensorRtBackend
from gdws_agent.errors import BackendUnavailable, BuildFailed, OutOfMemory, PrecisionUnsupported
from support.backend_cases import images, is_clean, model, told
from support.bundles import CLASSES
from support.tensorrt_installed import install

pytest.importorskip("onnxruntime", reason="the double of TensorRT runs on onnxruntime")


class TestProbe:
    def test_on_a_jetson(self, monkeypatch):
        install(monkeypatch)
        availability = TensorRtBackend().probe()
        assert availability.available
        assert availability.precisions == ["fp32", "tf32", "fp16", "int8"]
        assert availability.detail == {"gpu": "/dev/nvhost-gpu"}

    @pytest.mark.parametrize("missing", ["tensorrt", "pycuda"])
    def test_a_missing_package_is_named_with_advice(self, monkeypatch, missing):
        install(monkeypatch)
        monkeypatch.setattr(presence, "is_installed", lambda name: name != missing)
        availability = TensorRtBackend().probe()
        assert not availability.available
        assert (availability.reason or "").startswith(f"{missing} is not installed; ")

    def test_no_gpu(self, monkeypatch):
        install(monkeypatch)
        monkeypatch.setattr(presence, "find_gpu", lambda: None)
        assert "runtime nvidia" in (TensorRtBackend().probe().reason or "")


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

    def test_a_gpu_that_does_not_start_tells_how_much_memory_the_process_may_have(self, monkeypatch, spec):
        install(monkeypatch)
        driver = sys.modules["pycuda.driver"]

        def fail(flags=0):
            raise driver.Error("cuInit failed: out of memory")

        monkeypatch.setattr(driver, "init", fail)
        monkeypatch.setattr(cuda_context.resource, "getrlimit", lambda kind: (2**30, 2**31))
        with pytest.raises(BackendUnavailable, match=r"private memory of this process: \d+ MiB of 1024 MiB"):
            TensorRtBackend().build(model(), spec())

    def test_a_release_that_is_too_old(self, monkeypatch, spec):
        install(monkeypatch, version="8.2.1.9", lacking=["IExecutionContext.execute_async_v3"])
        with pytest.raises(BackendUnavailable, match="too old"):
            TensorRtBackend().build(model(), spec())

    def test_a_precision_that_the_gpu_lacks(self, monkeypatch, spec):
        _, gpu = install(monkeypatch)
        with pytest.raises(PrecisionUnsupported, match="tf32"):
            TensorRtBackend().build(model(), spec("tf32"))
        assert is_clean(gpu)


class TestOptions:
    def test_what_every_build_tells(self, monkeypatch, spec):
        install(monkeypatch)
        with TensorRtBackend().build(model(), spec()) as engine:
            found = dict(option.split("=", 1) for option in engine.build.options)
        assert found["workspace_mib"] == "1024"
        assert found["profile"] == "batch 2 alone"
        assert found["builds"] == "1"
        assert found["timing_cache"] == "shared by all builds"
        assert found["host_memory"] == "page-locked"
        assert found["cuda_graph"] == "0"
        assert found["build_timeout_s"].startswith("not kept by TensorRT 8.5.2.2")

    def test_a_timeout_that_is_kept(self, monkeypatch, spec):
        install(monkeypatch, version="10.3.0")
        with TensorRtBackend().build(model(), spec(build_timeout_s=60)) as engine:
            assert told(engine, "build_timeout_s") == "60"
        with pytest.raises(BuildFailed, match="stopped after 1e-09 s") as caught:
            TensorRtBackend().build(model(seed=1), spec(build_timeout_s=1e-9))
        assert caught.value.hint

    def test_another_timeout_is_the_same_engine_and_another_level_is_not(self, monkeypatch, spec):
        trt, _ = install(monkeypatch, version="8.6.2")
        for options, builds in [({}, 1), ({"build_timeout_s": 5}, 1), ({"optimization_level": 5}, 2)]:
            with TensorRtBackend().build(model(), spec(**options)):
                assert trt.builds == builds
        assert trt.configs[-1].builder_optimization_level == 5

    def test_too_little_memory_for_a_build(self, monkeypatch, spec):
        trt, gpu = install(monkeypatch, memory_bytes=2**29)
        backend = TensorRtBackend()
        with pytest.raises(OutOfMemory, match="1024 MiB of workspace") as caught:
            backend.build(model(), spec())
        assert "workspace_mib" in (caught.value.hint or "")
        assert trt.builds == 0
        assert is_clean(gpu)
        with backend.build(model(), spec(workspace_mib=64)) as engine:
            assert told(engine, "workspace_mib") == "64"


class TestDynamicBatch:
    def test_one_engine_serves_all_batch_sizes(self, monkeypatch, spec):
        trt, gpu = install(monkeypatch)
        backend = TensorRtBackend()
        wanted = {size: spec(batch_size=size, batch_sizes=(1, 2, 5), batch_profile="all") for size in (5, 1, 2)}
        for size, each in wanted.items():
            with backend.build(model(), each) as engine:
                assert engine.bind(images(size))()[0].shape == (size, CLASSES)
                assert told(engine, "profile") == "batch 1 to 5, tuned for 2"
        assert trt.builds == 1
        assert is_clean(gpu)

    def test_its_logits_are_those_of_an_engine_for_one_batch_size(self, monkeypatch, spec):
        install(monkeypatch)
        backend = TensorRtBackend()
        with backend.build(model(), spec()) as fixed, backend.build(
            model(), spec(batch_sizes=(1, 2, 5), batch_profile="all")
        ) as dynamic:
            assert np.array_equal(fixed.bind(images())()[0], dynamic.bind(images())()[0])

    def test_not_with_an_accelerator(self, monkeypatch, spec):
        install(monkeypatch)
        wanted = spec("fp16", batch_sizes=(1, 2), batch_profile="all", dla_core=0)
        with TensorRtBackend().build(model(), wanted) as engine:
            assert told(engine, "profile") == "batch 2 alone"
            assert told(engine, "batch_profile") == "each, for a DLA runs one batch size"


class TestInt8:
    def test_it_is_calibrated_once_for_all_batch_sizes(self, monkeypatch, spec):
        _, gpu = install(monkeypatch)
        copies = []
        driver = sys.modules["pycuda.driver"]
        copy = driver.memcpy_htod
        monkeypatch.setattr(driver, "memcpy_htod", lambda dest, src: (copies.append(len(src)), copy(dest, src)))
        backend = TensorRtBackend()
        for size in (1, 2):
            with backend.build(model(), spec("int8", size, calibration=images(20))) as engine:
                assert engine.build.precision == "int8"
                assert told(engine, "int8_ranges") == "entropy calibration, 20 inputs"
                assert told(engine, "flags") == "INT8+FP16"
                assert int(told(engine, "layers_int8")) > 0
                assert not engine.build.from_cache
        assert copies == [8, 8, 8]
        with backend.build(model(), spec("int8", calibration=images(20, seed=1))) as engine:
            assert not engine.build.from_cache
        assert len(copies) == 6
        with backend.build(model(), spec("int8", calibration=images(20))) as engine:
            assert engine.build.from_cache
            assert told(engine, "int8_ranges") == "entropy calibration, 20 inputs"
        assert is_clean(gpu)

    @pytest.mark.parametrize("calibration", [None, images(0)])
    def test_no_inputs(self, monkeypatch, spec, calibration):
        _, gpu = install(monkeypatch)
        with pytest.raises(BuildFailed, match="needs inputs to calibrate with"):
            TensorRtBackend().build(model(), spec("int8", calibration=calibration))
        assert is_clean(gpu)

    @pytest.mark.parametrize("calibration", [images(4)[:, :1], images(4).astype(np.float64)])
    def test_inputs_that_are_not_the_models(self, monkeypatch, spec, calibration):
        install(monkeypatch)
        with pytest.raises(BuildFailed, match="calibration inputs are"):
            TensorRtBackend().build(model(), spec("int8", calibration=calibration))


class TestAccelerator:
    def test_what_runs_on_it_is_told(self, monkeypatch, spec):
        _, gpu = install(monkeypatch)
        with TensorRtBackend().build(model(), spec("fp16", dla_core=1)) as engine:
            assert told(engine, "dla_core") == "1"
            assert told(engine, "gpu_fallback") == "1"
            # Not the gather, the flattening and the head.
            assert told(engine, "dla_candidates") == "5 of 8 layers"
            assert int(told(engine, "dla_parts")) >= 1
            assert int(told(engine, "gpu_layers")) >= 1
            assert engine.bind(images())()[0].shape == (2, CLASSES)
        # An engine for one core is not loaded for another.
        with TensorRtBackend().build(model(), spec("fp16", dla_core=0)) as engine:
            assert not engine.build.from_cache
        assert is_clean(gpu)

    def test_a_core_that_is_not_there(self, monkeypatch, spec):
        _, gpu = install(monkeypatch, dla_cores=0)
        with pytest.raises(BuildFailed, match="this device has none"):
            TensorRtBackend().build(model(), spec("fp16", dla_core=0))
        assert is_clean(gpu)
