"""How the TensorRT backend runs engines: steps, CUDA graphs, and times of layers."""

import sys
import threading

import numpy as np
import pytest

from gdws_agent.backends.cuda import driver as cuda_driver
from gdws_agent.backends.tensorrt.backend import TensorRtBackend
from gdws_agent.errors import BuildFailed, OutOfMemory, RunFailed
from gdws_agent.measuring.profiling import layer_profile
from support.backend_cases import images, is_clean, model, told
from support.bundles import CLASSES, tiny_parts
from support.tensorrt_installed import install

pytest.importorskip("onnxruntime", reason="the double of TensorRT runs on onnxruntime")


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
            held = first()[0]
            kept = held.copy()
            assert not np.array_equal(second()[0], kept)
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
        engines = [backend.build(model(seed=seed), spec()) for seed in range(3)]
        for index in (0, 2):
            engines[index].__exit__(None, None, None)
        assert engines[1].bind(images())()[0].shape == (2, CLASSES)
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
            assert engine.bind(images())()[0].shape == (2, CLASSES)
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


class TestGraph:
    def test_steps_launch_it(self, monkeypatch, spec):
        trt, gpu = install(monkeypatch)
        with TensorRtBackend().build(model(), spec()) as plain:
            expected = plain.bind(images())()[0].copy()
        with TensorRtBackend().build(model(), spec(cuda_graph=True)) as engine:
            assert told(engine, "cuda_graph") == "1"
            assert engine.build.from_cache  # the same engine, run in another way
            monkeypatch.setattr(trt.IExecutionContext, "execute_async_v3", lambda self, stream_handle: False)
            step, other = engine.bind(images()), engine.bind(images(seed=1))
            for _ in range(3):
                assert np.array_equal(step()[0], expected)
            assert not np.array_equal(other(), expected)
            assert engine.device_times().compute_ms > 0
        with pytest.raises(RunFailed, match="freed"):
            step()
        assert is_clean(gpu)

    def test_engines_side_by_side(self, monkeypatch, spec):
        _, gpu = install(monkeypatch)
        backend = TensorRtBackend()
        engines = [backend.build(model(seed=seed), spec(cuda_graph=True)) for seed in range(2)]
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
            assert engine.bind(images())()[0].shape == (2, CLASSES)
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
            assert engine.bind(images())()[0].shape == (2, CLASSES)
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
            before = step()[0].copy()
            engine.profile(images(seed=1), 3)
            assert len(reports) == 8  # five to warm up
            assert np.array_equal(step()[0], before)
            assert len(reports) == 8
        assert is_clean(gpu)

    def test_beside_a_graph(self, monkeypatch, spec):
        trt, gpu = install(monkeypatch)
        with TensorRtBackend().build(model(), spec(cuda_graph=True)) as engine:
            step = engine.bind(images())
            before = step()[0].copy()
            assert engine.profile(images(), 2)
            monkeypatch.setattr(trt.IExecutionContext, "execute_async_v3", lambda self, stream_handle: False)
            assert np.array_equal(step()[0], before)
        assert is_clean(gpu)

    def test_a_failure_meanwhile_leaves_the_steps_as_they_were(self, monkeypatch, spec):
        trt, gpu = install(monkeypatch)

        def fail(self, layer_name, ms):
            raise sys.modules["pycuda.driver"].LogicError("cuStreamSynchronize failed: unspecified launch failure")

        with TensorRtBackend().build(model(), spec()) as engine:
            step = engine.bind(images())
            before = step()[0].copy()
            with monkeypatch.context() as patch:
                patch.setattr(trt.IExecutionContext, "_report", lambda self: fail(self, "conv", 1.0))
                with pytest.raises(RunFailed, match="could not be profiled"):
                    engine.profile(images(), 2)
            assert np.array_equal(step()[0], before)
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
