"""How the TensorRT backend makes engines: its caches, and several builds of one engine."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from gdws_agent.backends.cuda import state as gpu_state
from gdws_agent.backends.tensorrt import maker as tensorrt_maker
from gdws_agent.backends.tensorrt.backend import TensorRtBackend
from gdws_agent.errors import RunFailed
from gdws_agent.gpu_clocks import ClockLimits
from support.backend_cases import images, is_clean, model, told
from support.bundles import CLASSES
from support.tensorrt_installed import install

pytest.importorskip("onnxruntime", reason="the double of TensorRT runs on onnxruntime")


class TestCache:
    def test_the_second_build_comes_from_it(self, monkeypatch, spec):
        trt, _ = install(monkeypatch)
        with TensorRtBackend().build(model(), spec()) as first:
            expected = first.bind(images())()[0].copy()
        with TensorRtBackend().build(model(), spec()) as second:
            assert np.array_equal(second.bind(images())()[0], expected)
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
            with TensorRtBackend().build(model(seed=seed), replace(spec(), power_mode=power_mode)) as engine:
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
            assert engine.bind(images())()[0].shape == (2, CLASSES)


class TestSeveralBuilds:
    @pytest.fixture
    def latencies(self, monkeypatch):
        """Have trials take 3, 1 and 2 ms, after one real step each."""

        def time_steps(step):
            assert step()[0].shape == (2, CLASSES)
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
            with TensorRtBackend().build(model(seed=seed), spec()) as engine:
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
