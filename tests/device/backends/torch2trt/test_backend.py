import sys

import numpy as np
import pytest

from gdws_agent.backends.base import EngineSpec
from gdws_agent.backends.cuda import presence
from gdws_agent.backends.tensorrt.options import BuilderOptions
from gdws_agent.backends.torch2trt import backend as module
from gdws_agent.backends.torch2trt.backend import Torch2TrtBackend
from gdws_agent.errors import BackendUnavailable, BuildFailed, PrecisionUnsupported
from gdws_contract.engines import EngineOptions
from gdws_contract.manifest import OutputSpec, TensorSpec
from support.bundles import CLASSES, INPUT_SHAPE, tiny_parts
from support.cuda_torch_installed import install_torch2trt
from support.exported import NETWORKS, exported
from support.fake_torch2trt import REAL

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def needs_torch():
    pytest.importorskip("onnx2torch", reason="onnx2torch is not installed here")
    pytest.importorskip("gdws", reason="the host side is not installed here")


def spec(tmp_path, network="small", precision="fp32", calibration=None, **options):
    return EngineSpec(
        precision=precision,
        batch_size=2,
        input=TensorSpec(name="input", shape=list(NETWORKS[network])),
        outputs=(OutputSpec(name="logits", shape=[exported(network, "dense")[2].shape[1]]),),
        threads=1,
        cache_dir=tmp_path,
        options=EngineOptions(**options),
        calibration=calibration,
    )


def conversion(engine):
    (found,) = [option for option in engine.build.options if option.startswith("conversion=")]
    return found[len("conversion=") :]


# Probing


@pytest.mark.parametrize("missing", ["torch", "onnx2torch", "torch2trt", "tensorrt"])
def test_a_missing_package_is_named_with_what_helps(monkeypatch, missing):
    monkeypatch.setattr(presence, "is_installed", lambda name: name != missing)
    monkeypatch.setattr(presence, "find_gpu", lambda: "/dev/nvhost-gpu")
    availability = Torch2TrtBackend().probe()

    assert not availability.available
    assert (availability.reason or "").startswith(f"{missing} is not installed; ")


def test_without_a_gpu(monkeypatch):
    monkeypatch.setattr(presence, "is_installed", lambda name: True)
    monkeypatch.setattr(presence, "find_gpu", lambda: None)
    assert "runtime nvidia" in (Torch2TrtBackend().probe().reason or "")


def test_where_all_is_there(monkeypatch):
    monkeypatch.setattr(presence, "is_installed", lambda name: True)
    monkeypatch.setattr(presence, "find_gpu", lambda: "/dev/nvhost-gpu")
    availability = Torch2TrtBackend().probe()

    assert availability.available
    assert availability.precisions == ["fp32", "tf32", "fp16", "int8"]


@pytest.mark.parametrize("package", ["tensorrt", "torch2trt"])
def test_an_installation_that_does_not_load(tmp_path, monkeypatch, needs_torch, package):
    install_torch2trt(monkeypatch)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(BackendUnavailable, match=f"{package} cannot be loaded") as caught:
        Torch2TrtBackend().build(exported("small", "dense")[0], spec(tmp_path))
    assert caught.value.hint


def test_a_torch_without_a_gpu(tmp_path, monkeypatch, needs_torch):
    torch, _ = install_torch2trt(monkeypatch)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(BackendUnavailable, match="torch finds no GPU"):
        Torch2TrtBackend().build(exported("small", "dense")[0], spec(tmp_path))


# Conversion


@pytest.mark.parametrize(
    ("form", "way"),
    [
        ("dense", "native"),
        ("stacked", "native"),
        ("grouped", "native"),
        ("gather", "onnx, conv1.depthwise/Gather is a Gather, which has no converter"),
    ],
)
@pytest.mark.parametrize("network", ["small", "mnist-preact-resnet"])
def test_each_layout_goes_its_way_and_computes_what_torch_does(tmp_path, monkeypatch, needs_torch, network, form, way):
    install_torch2trt(monkeypatch)
    content, images, logits = exported(network, form)
    with Torch2TrtBackend().build(content, spec(tmp_path, network)) as engine:
        assert conversion(engine).startswith(way.split(",")[0])
        if network == "small":
            assert conversion(engine) == way
        assert np.abs(engine.bind(images)()[0] - logits).max() <= 1e-4 * np.abs(logits).max()


def test_a_call_that_torch2trt_does_not_see_is_found_out(tmp_path, monkeypatch, needs_torch):
    """The module as it is rebuilt holds ``torch.add`` from before, which torch2trt takes for a constant."""
    _, torch2trt = install_torch2trt(monkeypatch)
    monkeypatch.setattr(module, "native_form", lambda torch, network, converters: module_form(network))
    content, images, logits = exported("small", "dense")
    with Torch2TrtBackend().build(content, spec(tmp_path)) as engine:
        assert conversion(engine).startswith(
            "onnx, natively the engine computes something else than the module: logits is off by"
        )
        assert np.allclose(engine.bind(images)()[0], logits, atol=1e-4)
    assert [call["use_onnx"] for call in torch2trt.calls] == [False, True]


def module_form(network):
    from gdws_agent.backends.torch2trt.graph import NativeForm

    return NativeForm(network)


def test_an_engine_that_is_wrong_both_ways_is_refused(tmp_path, monkeypatch, needs_torch):
    install_torch2trt(monkeypatch, distorted=100.0)
    with pytest.raises(BuildFailed, match="computes something else") as caught:
        Torch2TrtBackend().build(exported("small", "dense")[0], spec(tmp_path))
    assert "backend tensorrt" in (caught.value.hint or "")


def test_no_engine_is_an_error_and_not_a_crash_at_the_first_run(tmp_path, monkeypatch, needs_torch):
    install_torch2trt(monkeypatch, refuses=True)
    with pytest.raises(BuildFailed, match="made no engine") as caught:
        Torch2TrtBackend().build(exported("small", "gather")[0], spec(tmp_path))
    assert caught.value.hint


def test_a_missing_graphsurgeon_is_told_where_it_is_needed(tmp_path, monkeypatch, needs_torch):
    install_torch2trt(monkeypatch, graphsurgeon=False)
    with Torch2TrtBackend().build(exported("small", "stacked")[0], spec(tmp_path)):
        pass
    with pytest.raises(BuildFailed, match="onnx_graphsurgeon") as caught:
        Torch2TrtBackend().build(exported("small", "gather")[0], spec(tmp_path))
    assert "pip install onnx-graphsurgeon" in (caught.value.hint or "")


def test_a_release_with_fewer_converters_goes_through_onnx(tmp_path, monkeypatch, needs_torch):
    install_torch2trt(monkeypatch, real=[each for each in REAL if each != "torch.mean"])
    with Torch2TrtBackend().build(exported("small", "dense")[0], spec(tmp_path)) as engine:
        assert conversion(engine) == "onnx, this torch2trt has no converter for torch.mean"


def test_it_is_converted_on_other_images_than_it_is_compared_on(tmp_path, monkeypatch, needs_torch):
    torch, torch2trt = install_torch2trt(monkeypatch)
    compared = []
    run = module._Converter._run
    monkeypatch.setattr(module._Converter, "_run", lambda self, made: compared.append(self._noise) or run(self, made))
    with Torch2TrtBackend().build(exported("small", "dense")[0], spec(tmp_path)):
        pass
    (converted,) = torch2trt.calls[0]["inputs"]
    assert not any(torch.equal(converted, images) for images in compared)


# Precisions and choices


@pytest.mark.parametrize(
    ("capability", "precision", "told"),
    [
        ((8, 7), "fp32", "leaves TF32 on"),
        ((7, 2), "tf32", "no TF32"),
        ((7, 2), "int8", "at least a batch of 2"),
        ((7, 2), "fp8", "does not run in fp8"),
    ],
)
def test_a_precision_that_it_cannot_give_is_refused(tmp_path, monkeypatch, needs_torch, capability, precision, told):
    install_torch2trt(monkeypatch, capability)
    with pytest.raises(PrecisionUnsupported, match=told) as caught:
        Torch2TrtBackend().build(exported("small", "dense")[0], spec(tmp_path, precision=precision))
    assert caught.value.hint


@pytest.mark.parametrize(
    ("capability", "precision", "fp16", "int8"),
    [((7, 2), "fp32", False, False), ((8, 7), "tf32", False, False), ((7, 2), "fp16", True, False)],
)
def test_precisions_are_modes_of_torch2trt(tmp_path, monkeypatch, needs_torch, capability, precision, fp16, int8):
    _, torch2trt = install_torch2trt(monkeypatch, capability)
    with Torch2TrtBackend().build(exported("small", "dense")[0], spec(tmp_path, precision=precision)) as engine:
        assert engine.build.precision == precision
    (call,) = torch2trt.calls
    assert (call["fp16_mode"], call["int8_mode"]) == (fp16, int8)


def test_int8_is_calibrated_on_whole_batches_of_the_inputs(tmp_path, monkeypatch, needs_torch):
    _, torch2trt = install_torch2trt(monkeypatch)
    images = np.random.default_rng(0).random((5, *NETWORKS["small"]), np.float32)
    asked = spec(tmp_path, precision="int8", calibration=images)
    with Torch2TrtBackend().build(exported("small", "dense")[0], asked) as engine:
        assert "fp16=where it is faster than int8" in engine.build.options
    (call,) = torch2trt.calls
    batches = [item[0].numpy() for item in call["int8_calib_dataset"]]
    assert call["int8_mode"]
    assert np.array_equal(np.concatenate(batches), images[:4])
    assert [len(batch) for batch in batches] == [2, 2]


def test_choices_are_used_or_told(tmp_path, monkeypatch, needs_torch):
    _, torch2trt = install_torch2trt(monkeypatch)
    asked = spec(tmp_path, workspace_mib=64, dla_core=1, gpu_fallback=False, optimization_level=3)
    with Torch2TrtBackend().build(exported("small", "dense")[0], asked) as engine:
        told = set(engine.build.options)
    (call,) = torch2trt.calls
    assert call["max_workspace_size"] == 64 * 2**20
    assert (call["default_device_type"], call["dla_core"], call["gpu_fallback"]) == ("DLA", 1, False)
    assert {"workspace_mib=64", "dla_core=1", "gpu_fallback=False", "optimization_level=3, not used"} <= told


@pytest.mark.parametrize(
    ("version", "told"),
    [("8.5.2.2", "workspace_mib=1024"), ("10.3.0", "workspace_mib=1024, not used by torch2trt on TensorRT 10.3.0")],
)
def test_the_workspace_is_that_of_the_backend_tensorrt(tmp_path, monkeypatch, needs_torch, version, told):
    _, torch2trt = install_torch2trt(monkeypatch, version=version)
    with Torch2TrtBackend().build(exported("small", "dense")[0], spec(tmp_path)) as engine:
        assert told in engine.build.options
    (call,) = torch2trt.calls
    assert call["max_workspace_size"] == BuilderOptions.of(spec(tmp_path)).workspace_bytes == 2**30


@pytest.mark.parametrize(
    ("kind", "precision", "told"),
    [("Half", "fp16", "layers_fp16="), ("Float", "fp32", "layers_fp32="), (None, "fp16", "precision_read_back=no, ")],
)
def test_the_precision_is_read_back_where_the_engine_tells_it(
    tmp_path, monkeypatch, needs_torch, kind, precision, told
):
    install_torch2trt(monkeypatch, kind=kind)
    with Torch2TrtBackend().build(exported("small", "dense")[0], spec(tmp_path, precision="fp16")) as engine:
        assert engine.build.precision == precision
        assert any(option.startswith(told) for option in engine.build.options)


# What it tells


def test_size_and_versions_are_told(tmp_path, monkeypatch, needs_torch):
    install_torch2trt(monkeypatch)
    with Torch2TrtBackend().build(exported("small", "dense")[0], spec(tmp_path)) as engine:
        assert (engine.build.size_bytes or 0) > 1000
        assert "tensorrt=8.5.2.2" in engine.build.options
        assert "torch2trt's module" in engine.scope


def test_a_profile_has_the_names_of_the_nodes(tmp_path, monkeypatch, needs_torch):
    install_torch2trt(monkeypatch)
    content, images, _ = exported("small", "stacked")
    with Torch2TrtBackend().build(content, spec(tmp_path)) as engine:
        step = engine.bind(images)
        before = step()[0].copy()
        layers = engine.profile(images, 3)
        assert engine._network.module.context.profiler is None
        assert np.array_equal(step()[0], before)
        assert engine._network.module.engine.annotated == 0
    names = [layer.name for layer in layers]
    assert "conv1.depthwise.0/Conv:CONV2D" in names
    assert layers[1].mean_ms == pytest.approx(2 * layers[0].mean_ms)


def test_nan_is_left_to_parity(tmp_path, monkeypatch, needs_torch):
    install_torch2trt(monkeypatch)
    content = tiny_parts(faults={"gdws": "nan"})[1]["variants/gdws/model.onnx"]
    asked = EngineSpec(
        precision="fp32",
        batch_size=2,
        input=TensorSpec(name="input", shape=list(INPUT_SHAPE)),
        outputs=(OutputSpec(name="logits", shape=[CLASSES]),),
        threads=1,
        cache_dir=tmp_path,
    )
    with Torch2TrtBackend().build(content, asked) as engine:
        assert np.isnan(engine.bind(np.ones((2, *INPUT_SHAPE), np.float32))()[0]).all()
