import os
from dataclasses import replace

import numpy as np
import pytest

from gdws_agent.backends.cuda.state import GpuState
from gdws_agent.backends.onnxruntime import gpu as onnxruntime_gpu
from gdws_agent.backends.onnxruntime.gpu import OnnxRuntimeCudaBackend, OnnxRuntimeTensorRtBackend, prune
from gdws_agent.errors import BackendUnavailable, BuildFailed, PrecisionUnsupported, RunFailed
from gdws_agent.gpu_clocks import ClockLimits
from gdws_contract.engines import EngineOptions
from support.backend_cases import images, model
from support.onnxruntime_installed import install

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"
BACKENDS = {"cuda": OnnxRuntimeCudaBackend, "tensorrt": OnnxRuntimeTensorRtBackend}


@pytest.fixture(params=list(BACKENDS))
def backend(request):
    return BACKENDS[request.param]()


@pytest.fixture
def needs_onnxruntime():
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed here")


# Probing


@pytest.mark.parametrize(
    ("installed", "library", "gpu", "reason"),
    [
        (False, True, "/dev/nvidia0", "onnxruntime is not installed"),
        (True, False, "/dev/nvidia0", "built without"),
        (True, True, None, "no NVIDIA GPU is visible"),
    ],
)
def test_what_is_missing_is_said_with_what_helps(monkeypatch, backend, installed, library, gpu, reason):
    monkeypatch.setattr(onnxruntime_gpu, "is_installed", lambda name: installed)
    monkeypatch.setattr(onnxruntime_gpu, "has_file", lambda module, path: library)
    monkeypatch.setattr(onnxruntime_gpu, "find_gpu", lambda: gpu)
    availability = backend.probe()

    assert not availability.available
    assert reason in (availability.reason or "")
    assert len(availability.reason or "") > len(reason) + 20


def test_where_all_is_there(monkeypatch, backend):
    monkeypatch.setattr(onnxruntime_gpu, "is_installed", lambda name: True)
    monkeypatch.setattr(onnxruntime_gpu, "has_file", lambda module, path: path.startswith("capi/libonnxruntime_"))
    monkeypatch.setattr(onnxruntime_gpu, "find_gpu", lambda: "/dev/nvhost-gpu")
    availability = backend.probe()

    assert availability.available
    assert availability.detail["provider"] == backend.provider


# Building


def test_the_provider_is_asked_for_and_the_nodes_are_counted(spec, monkeypatch, needs_onnxruntime, backend):
    runtime = install(monkeypatch)
    with backend.build(model(), spec()) as engine:
        options = engine.build.options

    names = [name for name, _ in runtime.sessions[0]]
    assert names == ([TENSORRT, CUDA, CPU] if backend.provider == TENSORRT else [CUDA, CPU])
    assert f"provider={backend.provider}" in options
    (counted,) = [option for option in options if option.startswith(f"nodes.{backend.provider}=")]
    assert int(counted.split("=")[1]) > 0
    assert "io_binding=on" in options


def test_a_provider_that_the_runtime_was_built_without(spec, monkeypatch, needs_onnxruntime, backend):
    install(monkeypatch, providers=(CPU,))
    with pytest.raises(BackendUnavailable, match=f"built without {backend.provider}") as caught:
        backend.build(model(), spec())
    assert "Jetson Zoo" in (caught.value.hint or "")


def test_a_provider_that_is_replaced_without_a_word_is_an_error(spec, monkeypatch, needs_onnxruntime, backend):
    install(monkeypatch, broken=(TENSORRT, CUDA))
    with pytest.raises(BackendUnavailable, match=f"did not start, and onnxruntime put {CPU} in its place") as caught:
        backend.build(model(), spec())
    assert "libraries" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("refusal", "kind", "told"),
    [
        (
            "RegisterTensorRTPlugins Please install TensorRT libraries as\nmentioned",
            BackendUnavailable,
            "did not start",
        ),
        ('Failed to parse provider option "device_id": CUDA failure 35', BackendUnavailable, "CUDA failure 35"),
        ("TensorRT EP failed to create engine from network", BuildFailed, "failed to create engine"),
    ],
)
def test_a_refusal_is_of_the_machine_or_of_the_model(
    spec, monkeypatch, needs_onnxruntime, backend, refusal, kind, told
):
    install(monkeypatch, broken=(TENSORRT, CUDA), refusal=refusal)
    with pytest.raises(kind, match=told) as caught:
        backend.build(model(), spec())
    assert "\n" not in caught.value.message


def test_a_release_that_falls_back_whatever_it_is_told(spec, monkeypatch, needs_onnxruntime, backend):
    install(monkeypatch, broken=(TENSORRT, CUDA), refusal="Please install", heeds=False)
    with pytest.raises(BackendUnavailable, match=f"put {CPU} in its place"):
        backend.build(model(), spec())


def test_cuda_in_the_place_of_tensorrt_is_an_error(spec, monkeypatch, needs_onnxruntime):
    install(monkeypatch, broken=(TENSORRT,))
    with pytest.raises(BackendUnavailable, match=f"put {CUDA}, {CPU} in its place"):
        OnnxRuntimeTensorRtBackend().build(model(), spec())


def test_a_provider_that_takes_no_node_is_an_error(spec, monkeypatch, needs_onnxruntime, backend):
    install(monkeypatch, takes=CPU)
    with pytest.raises(BuildFailed, match=f"runs no node of the model; they run on {CPU}"):
        backend.build(model(), spec())


@pytest.mark.parametrize("version", ["1.16.3", "1.20.0"])
def test_a_provider_is_told_only_what_its_release_knows(spec, monkeypatch, needs_onnxruntime, backend, version):
    install(monkeypatch, version=version)
    with backend.build(model(), spec(workspace_mib=64, optimization_level=2)):
        pass


@pytest.mark.parametrize("precision", ["tf32", "int4", "fp64"])
def test_precisions_that_it_does_not_have(spec, backend, precision):
    with pytest.raises(PrecisionUnsupported, match=precision):
        backend.build(model(), spec(precision=precision))


def test_int8_without_quantised_layers(spec, monkeypatch, needs_onnxruntime):
    install(monkeypatch)
    with pytest.raises(PrecisionUnsupported, match="no quantised layers"):
        OnnxRuntimeTensorRtBackend().build(model(), spec(precision="int8"))


def test_choices_are_used_or_told(spec, monkeypatch, needs_onnxruntime):
    install(monkeypatch)
    asked = spec(workspace_mib=64, cuda_graph=True)
    with OnnxRuntimeTensorRtBackend().build(model(), asked) as engine:
        assert {"workspace_mib=64", "cuda_graph=True, not used"} <= set(engine.build.options)
    with OnnxRuntimeCudaBackend().build(model(), asked) as engine:
        assert {"workspace_mib=64, not used", "cuda_graph=True, not used"} <= set(engine.build.options)


# Engines of TensorRT


def test_engines_are_kept_and_found_again(spec, monkeypatch, needs_onnxruntime):
    install(monkeypatch)
    builds = []
    for _ in range(2):
        with OnnxRuntimeTensorRtBackend().build(model(), spec()) as engine:
            builds.append(engine.build)

    assert [build.from_cache for build in builds] == [False, True]
    assert [build.size_bytes for build in builds] == [99, 99]


def test_what_an_engine_depends_on_has_a_folder_of_its_own(spec, monkeypatch, needs_onnxruntime):
    install(monkeypatch)
    first = spec()
    others = [
        replace(first, precision="fp16"),
        replace(first, batch_size=3),
        replace(first, options=EngineOptions(optimization_level=1)),
    ]
    for each in (first, *others):
        with OnnxRuntimeTensorRtBackend().build(model(), each) as engine:
            assert not engine.build.from_cache
    with OnnxRuntimeTensorRtBackend().build(model(), replace(first, options=EngineOptions(builds=3))) as engine:
        assert engine.build.from_cache


@pytest.mark.parametrize(
    "change",
    [{"power_mode": "MODE_15W"}, {"multiprocessors": 4}, {"clocks": {"GPU": ClockLimits(114.0, 675.0)}}],
    ids=str,
)
def test_engines_of_another_state_of_the_gpu_are_not_taken(spec, monkeypatch, needs_onnxruntime, change):
    install(monkeypatch)
    state = GpuState("MAXN", 8, {"GPU": ClockLimits(114.0, 1377.0)})
    found = []
    for each in (state, state._replace(**change), state):
        monkeypatch.setattr(onnxruntime_gpu, "read_gpu_state", lambda power_mode, each=each: each)
        with OnnxRuntimeTensorRtBackend().build(model(), spec()) as engine:
            found.append(engine.build.from_cache)
            assert set(each.in_words()) <= set(engine.build.options)
    assert found == [False, False, True]


def test_cuda_keeps_no_engines(tmp_path, spec, monkeypatch, needs_onnxruntime):
    install(monkeypatch)
    with OnnxRuntimeCudaBackend().build(model(), spec()) as engine:
        assert engine.build.size_bytes is None
        assert not engine.build.from_cache
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_cannot_be_made_is_an_error(tmp_path, spec, monkeypatch, needs_onnxruntime):
    install(monkeypatch)
    (tmp_path / "onnxruntime-tensorrt").write_text("a file where a folder should be")
    with pytest.raises(BuildFailed, match="folder for engines"):
        OnnxRuntimeTensorRtBackend().build(model(), spec())


def test_the_oldest_engines_give_way(tmp_path):
    for age, name in enumerate(["newest", "old", "oldest"]):
        (tmp_path / name).mkdir()
        (tmp_path / name / "one.engine").write_bytes(b"x" * 10)
        os.utime(tmp_path / name, (10**9 - age, 10**9 - age))
    prune(tmp_path, keep=tmp_path / "oldest", max_bytes=15)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["newest", "oldest"]


# Running


def test_inputs_are_sent_anew_in_each_step(spec, monkeypatch, needs_onnxruntime, backend):
    install(monkeypatch)
    batch = images()
    with backend.build(model(), spec()) as engine:
        step = engine.bind(batch)
        first = step()[0]
        batch[...] = 0
        assert not np.array_equal(step()[0], first)


def test_a_failing_run_is_typed(spec, monkeypatch, needs_onnxruntime, backend):
    install(monkeypatch)
    with backend.build(model(), spec()) as engine:
        step = engine.bind(images())

        def fail(outputs, feed):
            raise RuntimeError("CUDA failure 700: an illegal\nmemory access")

        monkeypatch.setattr(engine._session._real, "run", fail, raising=False)
        with pytest.raises(RunFailed, match="CUDA failure 700: an illegal memory access"):
            step()


def test_times_of_layers_are_not_offered(spec, monkeypatch, needs_onnxruntime, backend):
    """The host's clock, which the runtime's profiler uses, sees a GPU's kernels begin, not end."""
    install(monkeypatch)
    with backend.build(model(), spec()) as engine:
        assert not hasattr(engine, "profile")
