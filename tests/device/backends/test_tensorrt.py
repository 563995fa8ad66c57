"""The TensorRT backend on stand-ins for TensorRT and pycuda: what the conformance suite does not ask."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest

from gdws_agent.backends import cuda_context, cuda_driver, gpu_state, tensorrt_maker
from gdws_agent.backends import tensorrt as module
from gdws_agent.backends.errors import (
    BackendUnavailable,
    BuildFailed,
    OutOfMemory,
    RunFailed,
    UnsupportedPrecision,
)
from gdws_agent.backends.tensorrt import TensorRtBackend
from gdws_agent.gpu_clocks import ClockLimits
from gdws_agent.measuring.profiling import layer_profile
from support.bundles import CLASSES, tiny_parts
from support.tensorrt_cases import images, is_clean, model, told
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

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ({"power_mode": "MAXN"}, {"power_mode": "MODE_15W"}),
            ({"multiprocessors": 8}, {"multiprocessors": 4}),
            ({"limits": (114.0, 1377.0)}, {"limits": (114.0, 675.0)}),
            ({"limits": (114.0, 1377.0)}, {"limits": (1377.0, 1377.0)}),  # jetson_clocks
        ],
        ids=str,
    )
    def test_kernels_that_were_timed_in_another_state_of_the_gpu_are_not_taken(self, monkeypatch, spec, before, after):
        _, gpu = install(monkeypatch)

        def build_in(power_mode=None, multiprocessors=8, limits=(114.0, 1377.0), seed=0):
            gpu.multiprocessors = multiprocessors
            monkeypatch.setattr(gpu_state, "clock_limits", lambda sysfs: {"GPU": ClockLimits(*limits)})
            with TensorRtBackend().build(model(seed), replace(spec(), power_mode=power_mode)) as engine:
                assert told(engine, "multiprocessors") == str(multiprocessors)
                assert told(engine, "gpu_clocks_mhz") == f"GPU {limits[0]:.0f} to {limits[1]:.0f}"
                return engine.build.from_cache, engine._loaded._engine._facts["kernels"]

        assert build_in(**before) == (False, "kernels of build 1")
        assert build_in(**after) == (False, "kernels of build 2")
        assert build_in(**before, seed=1) == (False, "kernels of build 1")
        assert build_in(**after, seed=1) == (False, "kernels of build 2")
        assert build_in(**before) == (True, "kernels of build 1")

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
        monkeypatch.setattr(tensorrt_maker, "fingerprint", lambda facts: facts.get("what", "engine").replace(" ", "-"))
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
            assert told(engine, "layers_fp16") == "3"

    def test_a_flag_that_did_not_take_is_told(self, monkeypatch, spec):
        trt, _ = install(monkeypatch)
        monkeypatch.setattr(trt.IBuilderConfig, "set_flag", lambda self, flag: None)
        with TensorRtBackend().build(model(), spec("fp16")) as engine:
            assert engine.build.precision == "fp32"

    def test_an_engine_that_tells_no_types_is_not_taken_for_read_back(self, monkeypatch, spec):
        trt, _ = install(monkeypatch)
        monkeypatch.setattr(trt.EngineInspector, "_knows_shapes", lambda self: False)
        with TensorRtBackend().build(model(), spec("fp16")) as engine:
            assert engine.build.precision == "fp16"
            assert told(engine, "precision_read_back").startswith("no, ")

    @pytest.mark.parametrize("options", [{}, {"cuda_graph": True}])
    def test_no_inference_pays_for_the_detail_that_the_engine_tells(self, monkeypatch, spec, options):
        trt, _ = install(monkeypatch)
        with TensorRtBackend().build(model(), spec(**options)) as engine:
            engine.bind(images())()
            engine.profile(images(), 2)
            engine.bind(images())()
            assert told(engine, "nvtx_verbosity") == "none"
        assert trt.annotated == 0
        assert trt.configs[0].profiling_verbosity == trt.ProfilingVerbosity.DETAILED

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

    def test_a_failure_that_is_kept_keeps_nothing_of_the_gpu(self, monkeypatch, spec):
        trt, gpu = install(monkeypatch)
        engine = TensorRtBackend().build(model(), spec())
        step = engine.bind(images())
        monkeypatch.setattr(trt.IExecutionContext, "execute_async_v3", lambda self, stream_handle: False)
        with pytest.raises(RunFailed) as stepping:
            step()
        with pytest.raises(RunFailed) as profiling:
            engine.profile(images(), 1)
        engine.__exit__(None, None, None)
        assert stepping.value.__traceback__
        assert profiling.value.__traceback__
        assert is_clean(gpu)

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
        _, gpu = install(monkeypatch)
        with TensorRtBackend().build(model(), spec()):
            pass
        gpu.memory_bytes = 200  # enough for an execution context; the engine comes from the cache
        with pytest.raises(OutOfMemory, match="buffers") as caught:
            TensorRtBackend().build(model(), spec())
        assert caught.value.hint
        assert is_clean(gpu)

    def test_no_memory_for_the_execution_context(self, monkeypatch, spec):
        _, gpu = install(monkeypatch)
        with TensorRtBackend().build(model(), spec()):
            pass
        gpu.memory_bytes = 10
        with pytest.raises(OutOfMemory, match="execution context"):
            TensorRtBackend().build(model(), spec())
        assert is_clean(gpu)

    def test_memory_that_runs_out_in_a_step(self, monkeypatch, spec):
        _, gpu = install(monkeypatch)
        driver = sys.modules["pycuda.driver"]
        with TensorRtBackend().build(model(), spec()) as engine:
            step = engine.bind(images())

            def fail(self):
                self.queue.clear()
                raise driver.MemoryError("cuStreamSynchronize failed: out of memory")

            with monkeypatch.context() as patch:
                patch.setattr(driver.Stream, "synchronize", fail)
                with pytest.raises(OutOfMemory) as caught:
                    step()
            assert caught.value.hint
        assert is_clean(gpu)

    def test_engines_share_one_logger_and_each_failure_has_its_own_words(self, monkeypatch, spec):
        _, gpu = install(monkeypatch)
        backend = TensorRtBackend()
        with backend.build(model(), spec()) as engine:
            broken = tiny_parts(faults={"gdws": "unknown-operator"})[1]["variants/gdws/model.onnx"]
            with pytest.raises(BuildFailed, match="Teleport"):
                backend.build(broken, spec())
            assert engine.bind(images())().shape == (2, CLASSES)
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
        with pytest.raises(BuildFailed, match="given up after 1e-09 s") as caught:
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
                assert engine.bind(images(size))().shape == (size, CLASSES)
                assert told(engine, "profile") == "batch 1 to 5, tuned for 2"
        assert trt.builds == 1
        assert is_clean(gpu)

    def test_its_logits_are_those_of_an_engine_for_one_batch_size(self, monkeypatch, spec):
        install(monkeypatch)
        backend = TensorRtBackend()
        with backend.build(model(), spec()) as fixed, backend.build(
            model(), spec(batch_sizes=(1, 2, 5), batch_profile="all")
        ) as dynamic:
            assert np.array_equal(fixed.bind(images())(), dynamic.bind(images())())

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
            assert engine.bind(images())().shape == (2, CLASSES)
        # An engine for one core is not loaded for another.
        with TensorRtBackend().build(model(), spec("fp16", dla_core=0)) as engine:
            assert not engine.build.from_cache
        assert is_clean(gpu)

    def test_a_core_that_is_not_there(self, monkeypatch, spec):
        _, gpu = install(monkeypatch, dla_cores=0)
        with pytest.raises(BuildFailed, match="this device has none"):
            TensorRtBackend().build(model(), spec("fp16", dla_core=0))
        assert is_clean(gpu)


class TestGraph:
    def test_steps_launch_it(self, monkeypatch, spec):
        trt, gpu = install(monkeypatch)
        with TensorRtBackend().build(model(), spec()) as plain:
            expected = plain.bind(images())().copy()
        with TensorRtBackend().build(model(), spec(cuda_graph=True)) as engine:
            assert told(engine, "cuda_graph") == "1"
            assert engine.build.from_cache  # the same engine, run in another way
            monkeypatch.setattr(trt.IExecutionContext, "execute_async_v3", lambda self, stream_handle: False)
            step, other = engine.bind(images()), engine.bind(images(seed=1))
            for _ in range(3):
                assert np.array_equal(step(), expected)
            assert not np.array_equal(other(), expected)
            assert engine.device_times().compute_ms > 0
        with pytest.raises(RunFailed, match="freed"):
            step()
        assert is_clean(gpu)

    def test_engines_side_by_side(self, monkeypatch, spec):
        _, gpu = install(monkeypatch)
        backend = TensorRtBackend()
        engines = [backend.build(model(seed), spec(cuda_graph=True)) for seed in range(2)]
        steps = [engine.bind(images()) for engine in engines]
        first = steps[0]().copy()
        assert not np.array_equal(steps[1](), first)
        engines[1].__exit__(None, None, None)
        assert np.array_equal(steps[0](), first)
        engines[0].__exit__(None, None, None)
        assert is_clean(gpu)

    def test_where_there_are_none_the_build_says_so_and_goes_on(self, monkeypatch, spec):
        _, gpu = install(monkeypatch)

        def load(name):
            raise OSError("libcuda.so.1: cannot open shared object file")

        monkeypatch.setattr(cuda_driver, "load_driver", load)
        with TensorRtBackend().build(model(), spec(cuda_graph=True)) as engine:
            assert told(engine, "cuda_graph").startswith("asked for and not possible, the CUDA driver has no graphs")
            assert engine.bind(images())().shape == (2, CLASSES)
        assert is_clean(gpu)

    def test_work_that_cannot_be_captured_is_queued_step_by_step(self, monkeypatch, spec):
        trt, gpu = install(monkeypatch)
        enqueue = trt.IExecutionContext.execute_async_v3

        def refuse(self, stream_handle):
            if gpu.streams[stream_handle].captured is not None:
                return self._fail("operation not permitted when stream is capturing")
            return enqueue(self, stream_handle)

        monkeypatch.setattr(trt.IExecutionContext, "execute_async_v3", refuse)
        with TensorRtBackend().build(model(), spec(cuda_graph=True)) as engine:
            assert "operation not permitted when stream is capturing" in told(engine, "cuda_graph")
            assert engine.bind(images())().shape == (2, CLASSES)
        assert is_clean(gpu)


class TestProfile:
    @pytest.mark.parametrize("version", ["8.5.2.2", "8.6.2", "10.3.0"])
    def test_layers_in_order_with_kinds_and_sources(self, monkeypatch, spec, version):
        _, gpu = install(monkeypatch, version=version)
        with TensorRtBackend().build(model(), spec()) as engine:
            layers = engine.profile(images(), 10)
        names = [layer.name for layer in layers]
        assert names[:3] == ["conv.gather", "conv.depthwise", "conv.pointwise + relu"]
        assert {layer.name: layer.kind for layer in layers}["conv.depthwise"] == "Convolution"
        assert sum(layer.share for layer in layers) == pytest.approx(1)
        # The double reports 1 us for the first layer, 2 us for the second, and so on, each time.
        assert [layer.mean_ms for layer in layers] == pytest.approx([0.001 * n for n in range(1, len(layers) + 1)])
        assert layer_profile(engine.profiler, 10, layers, ["conv"]).tool == "TensorRT IProfiler"
        assert is_clean(gpu)

    def test_copies_around_a_gather_in_half_precision_are_told_by_name(self, monkeypatch, spec):
        install(monkeypatch)
        with TensorRtBackend().build(model(), spec("fp16")) as engine:
            layers = engine.profile(images(), 2)
            assert told(engine, "reformats") == "2, for conv.gather"
        around = [f"Reformatting CopyNode for {side} Tensor 0 to conv.gather" for side in ("Input", "Output")]
        assert [layer.name for layer in layers[:3]] == [around[0], "conv.gather", around[1]]
        assert {layer.name: layer.kind for layer in layers}[around[0]] == "Reformat"

    def test_steps_are_not_disturbed(self, monkeypatch, spec):
        trt, gpu = install(monkeypatch)
        reports = []
        report = trt.IExecutionContext._report
        monkeypatch.setattr(trt.IExecutionContext, "_report", lambda self: (reports.append(1), report(self)))
        with TensorRtBackend().build(model(), spec()) as engine:
            step = engine.bind(images())
            before = step().copy()
            engine.profile(images(seed=1), 3)
            assert len(reports) == 8  # five to warm up
            assert np.array_equal(step(), before)
            assert len(reports) == 8
        assert is_clean(gpu)

    def test_beside_a_graph(self, monkeypatch, spec):
        trt, gpu = install(monkeypatch)
        with TensorRtBackend().build(model(), spec(cuda_graph=True)) as engine:
            step = engine.bind(images())
            before = step().copy()
            assert engine.profile(images(), 2)
            monkeypatch.setattr(trt.IExecutionContext, "execute_async_v3", lambda self, stream_handle: False)
            assert np.array_equal(step(), before)
        assert is_clean(gpu)

    def test_a_failure_meanwhile_leaves_the_steps_as_they_were(self, monkeypatch, spec):
        trt, gpu = install(monkeypatch)

        def fail(self, layer_name, ms):
            raise sys.modules["pycuda.driver"].LogicError("cuStreamSynchronize failed: unspecified launch failure")

        with TensorRtBackend().build(model(), spec()) as engine:
            step = engine.bind(images())
            before = step().copy()
            with monkeypatch.context() as patch:
                patch.setattr(trt.IExecutionContext, "_report", lambda self: fail(self, "conv", 1.0))
                with pytest.raises(RunFailed, match="could not be profiled"):
                    engine.profile(images(), 2)
            assert np.array_equal(step(), before)
        assert is_clean(gpu)

    def test_inputs_that_do_not_fit(self, monkeypatch, spec):
        install(monkeypatch)
        with TensorRtBackend().build(model(), spec()) as engine, pytest.raises(ValueError, match="the engine takes"):
            engine.profile(images(3), 2)

    def test_no_memory_for_another_context(self, monkeypatch, spec):
        _, gpu = install(monkeypatch)
        with TensorRtBackend().build(model(), spec()) as engine:
            gpu.memory_bytes = 0
            with pytest.raises(OutOfMemory, match="execution context"):
                engine.profile(images(), 2)
            with pytest.raises(RunFailed, match="no execution context"):
                engine.bind(images())()
        assert is_clean(gpu)

    def test_a_freed_engine(self, monkeypatch, spec):
        install(monkeypatch)
        with TensorRtBackend().build(model(), spec()) as engine:
            pass
        with pytest.raises(RunFailed, match="freed"):
            engine.profile(images(), 2)


class TestSeveralBuilds:
    @pytest.fixture
    def latencies(self, monkeypatch):
        """Have trials take 3, 1 and 2 ms, after one real step each."""

        def time_steps(step):
            assert step().shape == (2, CLASSES)
            return next(times)

        times = iter([3.0, 1.0, 2.0])
        monkeypatch.setattr(tensorrt_maker, "time_steps", time_steps)

    def test_the_median_is_kept_and_cached_with_the_spread(self, monkeypatch, spec, latencies):
        trt, gpu = install(monkeypatch)
        with TensorRtBackend().build(model(), spec(builds=3)) as engine:
            spread = engine.build.spread
            assert (spread.count, spread.best_ms, spread.median_ms, spread.worst_ms) == (3, 1.0, 2.0, 3.0)
            assert engine.build.time_s == spread.build_times_s[2]
            assert told(engine, "builds") == "3"
            assert told(engine, "timing_cache") == "fresh for each build"
            kept = engine._loaded._engine._facts["kernels"]
        assert kept == "kernels of build 3"
        assert trt.builds == 3
        with TensorRtBackend().build(model(), spec(builds=3)) as engine:
            assert engine.build.from_cache
            assert engine.build.spread == spread
            assert engine._loaded._engine._facts["kernels"] == kept
        assert is_clean(gpu)

    def test_an_engine_that_was_built_once_is_not_the_median_of_several(self, monkeypatch, spec, latencies):
        trt, _ = install(monkeypatch)
        for builds, so_far in [(1, 1), (3, 4), (1, 4)]:
            with TensorRtBackend().build(model(), spec(builds=builds)):
                assert trt.builds == so_far

    def test_one_build_takes_the_kernels_of_those_before(self, monkeypatch, spec):
        install(monkeypatch)
        for seed in range(2):
            with TensorRtBackend().build(model(seed), spec()) as engine:
                assert engine._loaded._engine._facts["kernels"] == "kernels of build 1"
                assert engine.build.spread is None

    def test_they_neither_read_nor_leave_a_timing_cache(self, monkeypatch, spec, latencies):
        install(monkeypatch)
        with TensorRtBackend().build(model(seed=1), spec()):
            pass
        with TensorRtBackend().build(model(), spec(builds=3)) as engine:
            assert engine._loaded._engine._facts["kernels"] == "kernels of build 4"
        with TensorRtBackend().build(model(seed=2), spec()) as engine:
            assert engine._loaded._engine._facts["kernels"] == "kernels of build 1"

    def test_real_times(self, monkeypatch, spec):
        _, gpu = install(monkeypatch)
        with TensorRtBackend().build(model(), spec(builds=2, calibration=images(1))) as engine:
            assert 0 < engine.build.spread.best_ms <= engine.build.spread.worst_ms
        assert is_clean(gpu)

    def test_int8_is_calibrated_once(self, monkeypatch, spec, latencies):
        install(monkeypatch)
        copies = []
        driver = sys.modules["pycuda.driver"]
        copy = driver.memcpy_htod
        monkeypatch.setattr(driver, "memcpy_htod", lambda dest, src: (copies.append(1), copy(dest, src)))
        with TensorRtBackend().build(model(), spec("int8", builds=3, calibration=images(8))):
            assert len(copies) == 1

    def test_a_failure_among_them_frees_everything(self, monkeypatch, spec):
        _, gpu = install(monkeypatch)

        def fail(step):
            raise RunFailed("the engine could not run")

        monkeypatch.setattr(tensorrt_maker, "time_steps", fail)
        with pytest.raises(RunFailed):
            TensorRtBackend().build(model(), spec(builds=2))
        assert is_clean(gpu)
