import importlib.util
import sys
import tempfile
from dataclasses import replace
from importlib import metadata

import numpy as np
import pytest

from gdws_agent.backends.onnx_nodes import read_nodes
from gdws_agent.backends.onnxruntime import cpu as module
from gdws_agent.backends.onnxruntime import profile as onnxruntime_profile
from gdws_agent.backends.onnxruntime.cpu import OnnxRuntimeBackend
from gdws_agent.errors import BackendUnavailable, BuildFailed, OutOfMemory, PrecisionUnsupported, RunFailed
from gdws_contract.engines import EngineOptions
from support.bundles import CLASSES, INPUT_SHAPE, tiny_parts

installed = pytest.mark.skipif(
    importlib.util.find_spec("onnxruntime") is None, reason="onnxruntime is not installed here"
)


def model(**options):
    return tiny_parts(**options)[1]["variants/dense/model.onnx"]


def fixed_batch(content, size):
    import onnx

    loaded = onnx.load_from_string(content)
    axis = loaded.graph.input[0].type.tensor_type.shape.dim[0]
    axis.ClearField("dim_param")
    axis.dim_value = size
    return loaded.SerializeToString()


def test_where_it_is_not_installed(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    availability = OnnxRuntimeBackend().probe()
    assert not availability.available
    assert availability.reason is not None
    assert "pip install" in availability.reason
    assert availability.version is None


def test_an_installation_that_does_not_load(spec, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(BackendUnavailable, match="cannot be loaded") as caught:
        OnnxRuntimeBackend().build(model(), spec())
    assert caught.value.hint is not None


def test_without_metadata_the_version_is_unknown(monkeypatch):
    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    availability = OnnxRuntimeBackend().probe()
    assert availability.available
    assert availability.version is None


@installed
def test_the_version_is_that_of_the_module():
    import onnxruntime

    assert OnnxRuntimeBackend().probe().version == onnxruntime.__version__


@installed
def test_the_settings_in_force_are_those_told(spec):
    with OnnxRuntimeBackend().build(model(), spec(threads=2)) as engine:
        options = engine._session.get_session_options()
        assert "intra_op_threads=2" in engine.build.options
        assert options.intra_op_num_threads == 2
        assert "inter_op_threads=1" in engine.build.options
        assert options.inter_op_num_threads == 1
        assert "force_spinning_stop=1" in engine.build.options
        assert options.get_session_config_entry("session.force_spinning_stop") == "1"
        assert f"provider={engine._session.get_providers()[0]}" in engine.build.options
        assert options.graph_optimization_level.name == "ORT_ENABLE_ALL"
        assert options.execution_mode.name == "ORT_SEQUENTIAL"


@installed
def test_a_fixed_batch_axis(spec):
    content = fixed_batch(model(), 2)
    with OnnxRuntimeBackend().build(content, spec()) as engine:
        assert engine.bind(np.zeros((2, *INPUT_SHAPE), np.float32))()[0].shape == (2, CLASSES)
    with pytest.raises(BuildFailed, match=r"\[2, 2, 8, 8\], \[3, 2, 8, 8\] is asked for") as caught:
        OnnxRuntimeBackend().build(content, spec(batch_size=3))
    assert "dynamic batch axis" in (caught.value.hint or "")


@installed
def test_an_input_type_that_is_not_the_manifests(spec):
    with pytest.raises(BuildFailed, match="uint8"):
        OnnxRuntimeBackend().build(model(), spec(dtype="uint8"))


def test_half_precision_inputs_are_refused(spec):
    with pytest.raises(PrecisionUnsupported, match="float16"):
        OnnxRuntimeBackend().build(model(), spec(dtype="float16"))


class Failing:
    """A session whose runs raise."""

    def __init__(self, error):
        self._error = error

    def run(self, outputs, feed):
        raise self._error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (RuntimeError("std::bad_alloc"), OutOfMemory),
        (RuntimeError("Failed to allocate memory for requested buffer of size 12"), OutOfMemory),
        (MemoryError(), OutOfMemory),
        (RuntimeError("Non-zero status code\n returned"), RunFailed),
    ],
)
def test_what_a_run_raises_is_typed(spec, error, kind):
    engine = module.OnnxRuntimeEngine(Failing(error), b"", None, None, spec())
    with pytest.raises(kind) as caught:
        engine.bind(np.zeros((2, *INPUT_SHAPE), np.float32))()
    assert "\n" not in caught.value.message
    assert caught.value.__cause__ is error


@installed
def test_choices_that_a_cpu_does_not_have_are_said(spec):
    options = EngineOptions(dla_core=1, cuda_graph=True)
    with OnnxRuntimeBackend().build(model(), replace(spec(), options=options)) as engine:
        unused = [option for option in engine.build.options if "not used" in option]
    assert unused == ["cuda_graph=True, not used", "dla_core=1, not used"]


@installed
@pytest.mark.parametrize("variant", ["dense", "gdws"])
def test_a_profile_has_every_convolution_once_by_its_nodes_name(spec, variant):
    content = tiny_parts()[1][f"variants/{variant}/model.onnx"]
    convolutions = [node.name for node in read_nodes(content) if node.operator == "Conv"]
    with OnnxRuntimeBackend().build(content, spec()) as engine:
        layers = engine.profile(np.zeros((2, *INPUT_SHAPE), np.float32), iterations=4)
    names = " ".join(layer.name for layer in layers)
    assert convolutions
    for convolution in convolutions:
        assert names.count(convolution) == 1


@installed
def test_a_profile_leaves_no_file_behind(tmp_path, spec, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with OnnxRuntimeBackend().build(model(), spec()) as engine:
        engine.profile(np.zeros((2, *INPUT_SHAPE), np.float32), iterations=2)
    assert list(tmp_path.iterdir()) == []


@installed
def test_a_profile_averages_over_more_runs_than_one_session_takes(spec, monkeypatch):
    monkeypatch.setattr(onnxruntime_profile, "_RUNS_PER_SESSION", 3)
    with OnnxRuntimeBackend().build(model(), spec()) as engine:
        made = []
        make = engine._make_profiled
        monkeypatch.setattr(engine, "_make_profiled", lambda prefix: made.append(prefix) or make(prefix))
        layers = engine.profile(np.zeros((2, *INPUT_SHAPE), np.float32), iterations=7)
    assert len(set(made)) == 3
    assert sum(layer.share for layer in layers) == pytest.approx(1)


@installed
def test_its_own_format_is_not_read(tmp_path, spec):
    """It is another than the one that bundles are checked for, and told by a few bytes alone."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "model.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime.InferenceSession(model(), options, providers=["CPUExecutionProvider"])
    content = (tmp_path / "model.ort").read_bytes()
    assert onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    with pytest.raises(BuildFailed, match="protobuf"):
        OnnxRuntimeBackend().build(content, spec())
