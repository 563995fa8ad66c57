import importlib
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from gdws_agent.backends.onnx_nodes import read_nodes
from gdws_agent.backends.torch import backend as module
from gdws_agent.backends.torch import eager
from gdws_agent.backends.torch.backend import PyTorchBackend, PyTorchChannelsLastBackend
from gdws_agent.errors import BackendUnavailable, BuildFailed, OutOfMemory, PrecisionUnsupported, RunFailed
from support.backend_cases import images, model
from support.cuda_torch_installed import install_cuda_torch
from support.exported import FORMS, NETWORKS, exported
from support.hostile_onnx import code_in_a_name


@pytest.fixture
def torch():
    pytest.importorskip("onnx2torch", reason="onnx2torch is not installed here")
    return pytest.importorskip("torch", reason="torch is not installed here")


@pytest.mark.parametrize("missing", ["torch", "onnx", "onnx2torch"])
def test_a_missing_package_is_named(monkeypatch, missing):
    monkeypatch.setattr(module, "is_installed", lambda name: name != missing)
    availability = PyTorchBackend().probe()
    assert not availability.available
    assert (availability.reason or "").startswith(f"{missing} not installed")


@pytest.mark.parametrize(
    ("gpu", "version", "precisions"),
    [
        (None, "2.0.1", ["fp32"]),
        (None, "2.3.0+cpu", ["fp32", "fp16"]),
        (None, None, ["fp32"]),
        ("/dev/nvhost-gpu", "2.0.1", ["fp32", "tf32", "fp16"]),
    ],
)
def test_what_is_offered_depends_on_gpu_and_release(monkeypatch, gpu, version, precisions):
    monkeypatch.setattr(module, "is_installed", lambda name: True)
    monkeypatch.setattr(module, "find_gpu", lambda: gpu)
    monkeypatch.setattr(module, "version_of", lambda name: version)
    assert PyTorchBackend().probe().precisions == precisions


@pytest.mark.parametrize("package", ["torch", "onnx2torch"])
def test_an_installation_that_does_not_load(spec, monkeypatch, torch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(BackendUnavailable, match=f"{package} cannot be loaded") as caught:
        PyTorchBackend().build(model(), spec())
    assert caught.value.hint


def test_half_precision_on_the_cpu(spec, torch):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with PyTorchBackend().build(model(), spec()) as engine:
        expected = engine.bind(images())()[0]
    for backend in (PyTorchBackend(), PyTorchChannelsLastBackend()):
        with backend.build(model(), spec(precision="fp16")) as engine:
            assert engine.build.precision == "fp16"
            logits = engine.bind(images())()[0]
        assert logits.dtype == np.float32
        assert 0 < np.abs(logits - expected).max() <= 0.01 * np.abs(expected).max()


def test_half_precision_on_the_cpu_of_an_old_release(spec, torch, monkeypatch):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    monkeypatch.setattr(torch, "__version__", "2.0.1")
    with pytest.raises(PrecisionUnsupported, match=r"torch 2\.0\.1 runs fp16 only on a GPU") as caught:
        PyTorchBackend().build(model(), spec(precision="fp16"))
    assert "runtime nvidia" in (caught.value.hint or "")


def test_tf32_without_a_gpu(spec, torch):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(PrecisionUnsupported, match="no GPU"):
        PyTorchBackend().build(model(), spec(precision="tf32"))


@pytest.mark.parametrize(
    ("capability", "precision", "tf32"), [((7, 2), "fp32", 0), ((8, 7), "fp32", 0), ((8, 7), "tf32", 1)]
)
def test_on_a_gpu_the_switches_are_as_asked_and_told(spec, torch, monkeypatch, capability, precision, tf32):
    before = (torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32)
    try:
        install_cuda_torch(monkeypatch, capability)
        with PyTorchBackend().build(model(), spec(precision=precision)) as engine:
            options = engine.build.options
        assert {"device=cuda", "cudnn.benchmark=1", f"tf32={tf32}", "host_memory=page-locked"} <= set(options)
        assert torch.backends.cudnn.allow_tf32 is bool(tf32)
        assert torch.backends.cuda.matmul.allow_tf32 is bool(tf32)
        assert "page-locked" in engine.scope
    finally:
        torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32 = before[:2]
        torch.backends.cuda.matmul.allow_tf32 = before[2]


def test_a_gpu_without_tf32(spec, torch, monkeypatch):
    install_cuda_torch(monkeypatch, (7, 2))
    with pytest.raises(PrecisionUnsupported, match="no TF32"):
        PyTorchBackend().build(model(), spec(precision="tf32"))


def test_the_settings_in_force_are_those_told(spec, torch):
    with PyTorchBackend().build(model(), spec(threads=2)) as engine:
        assert "torch_threads=2" in engine.build.options
        assert torch.get_num_threads() == 2
        assert "memory_format=contiguous" in engine.build.options
        assert "execution=eager" in engine.build.options


def test_channels_last_reaches_weights_and_inputs(spec, torch):
    with PyTorchChannelsLastBackend().build(model(), spec()) as engine:
        assert "memory_format=channels_last" in engine.build.options
        seen = []
        convolutions = [each for each in engine._network.module.modules() if isinstance(each, torch.nn.Conv2d)]
        pointwise = convolutions[-1]
        pointwise.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        engine.bind(images())()
        assert all(each.weight.is_contiguous(memory_format=torch.channels_last) for each in convolutions)
        assert seen[0].is_contiguous(memory_format=torch.channels_last)
        assert not seen[0].is_contiguous()


def test_both_formats_compute_the_same(spec, torch):
    with PyTorchBackend().build(model(), spec()) as one:
        expected = one.bind(images())()[0]
    with PyTorchChannelsLastBackend().build(model(), spec()) as other:
        assert np.allclose(other.bind(images())()[0], expected, atol=1e-5)


def test_half_precision_converts_weights_but_not_indices(torch):
    holder = torch.nn.Module()
    holder.weight = torch.nn.Parameter(torch.ones(2))
    holder.register_buffer("index", torch.tensor([1, 2]))
    module.convert_parameters(holder, torch.float16)
    assert holder.weight.dtype is torch.float16
    assert holder.index.dtype is torch.int64


def test_a_step_holds_its_own_copy_of_the_inputs(spec, torch):
    batch = images()
    with PyTorchBackend().build(model(), spec()) as engine:
        step = engine.bind(batch)
        expected = step()[0].copy()
        batch[:] = 0
        assert np.array_equal(step()[0], expected)


def test_a_step_of_a_freed_engine(spec, torch):
    with PyTorchBackend().build(model(), spec()) as engine:
        step = engine.bind(images())
    with pytest.raises(RunFailed, match="freed"):
        step()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (RuntimeError("[enforce fail at alloc_cpu.cpp:114] DefaultCPUAllocator: can't allocate memory"), OutOfMemory),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), OutOfMemory),
        (RuntimeError("CUDA error: invalid\nargument"), RunFailed),
    ],
)
def test_what_a_module_raises_is_typed(spec, torch, error, kind):
    with PyTorchBackend().build(model(), spec()) as engine:

        def fail(images):
            raise error

        engine._network = engine._network._replace(module=fail)
        with pytest.raises(kind) as caught:
            engine.bind(images())()
        assert "\n" not in caught.value.message


def test_an_input_type_that_is_not_the_manifests(spec, torch):
    with pytest.raises(BuildFailed, match="the model takes float32, the manifest says uint8"):
        eager.eager_network(model(), spec(dtype="uint8"))


def test_a_quantised_model_is_refused_by_its_reason(spec, torch):
    with pytest.raises(PrecisionUnsupported, match="the model is quantised"):
        eager.eager_network(model() + b"DequantizeLinear", spec(precision="int8"))


def test_its_operators_find_the_opset_whatever_was_imported(spec, torch, monkeypatch):
    """torch2trt may export it; newer releases of torch replace the module that onnx2torch asks."""
    common = importlib.import_module("onnx2torch.utils.common")
    monkeypatch.setattr(common, "symbolic_helper", SimpleNamespace())
    eager.eager_network(model(), spec())
    assert common.get_onnx_version()


def test_the_module_does_not_learn(spec, torch):
    assert not eager.eager_network(model(), spec()).module.training
    with PyTorchBackend().build(model(), spec()) as engine:
        logits = engine.bind(images())()[0]
        assert isinstance(logits, np.ndarray)
        assert logits.dtype == np.float32


def test_calls_are_known_by_their_nodes(spec, torch):
    network = eager.eager_network(model(), spec())
    called = {str(node.target) for node in network.module.graph.nodes if node.op == "call_module"}
    assert called <= set(network.nodes)
    assert "Gather" in {network.nodes[target].operator for target in called}


def test_a_name_is_not_executed(tmp_path, spec, torch):
    onnx = pytest.importorskip("onnx")
    evil = code_in_a_name(f'open("{tmp_path}/written", "w")')
    assert "." not in evil, "onnx2torch would take it apart"
    network = onnx.load_from_string(model())
    network.graph.node[-1].name = evil
    with PyTorchBackend().build(network.SerializeToString(), spec()) as engine:
        np.testing.assert_array_equal(engine.bind(images())()[0], run_by_name(spec))
        assert engine.profile(images(), 1)[-1].name == evil
    assert list(tmp_path.iterdir()) == []


def run_by_name(spec):
    """The logits of the same network with the names that it has."""
    with PyTorchBackend().build(model(), spec()) as engine:
        return engine.bind(images())()[0].copy()


def test_a_profile_has_every_node_by_its_name_in_the_order_of_the_file(spec, torch):
    content = model()
    names = [node.name for node in read_nodes(content)]
    with PyTorchBackend().build(content, spec()) as engine:
        layers = engine.profile(images(), iterations=3)
        assert [layer.name for layer in layers] == names
        assert not any(each._forward_hooks for each in engine._network.module.modules())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("network", NETWORKS)
def test_every_network_that_the_project_exports(spec, torch, network, form):
    pytest.importorskip("gdws", reason="the host side is not installed here")
    content, batch, expected = exported(network, form)
    wanted = spec(shape=list(NETWORKS[network]))
    for backend in (PyTorchBackend(), PyTorchChannelsLastBackend()):
        with backend.build(content, wanted) as engine:
            difference = np.abs(engine.bind(batch)()[0] - expected).max()
            assert difference <= 1e-4 * np.abs(expected).max()
