"""The stand-in for ONNX Runtime on a GPU against the real one, as far as that goes on a CPU."""

import inspect

import numpy as np
import pytest

from gdws_agent.backends.base import EngineSpec
from gdws_agent.backends.cuda.presence import find_gpu
from gdws_agent.backends.onnxruntime.bound import bound_step
from gdws_agent.backends.onnxruntime.session import session_options
from gdws_contract.manifest import OutputSpec, TensorSpec
from support import fake_onnxruntime
from support.bundles import CLASSES, INPUT_SHAPE, tiny_parts

onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed here")


def parameters(function):
    return [name for name in inspect.signature(function).parameters if name not in ("self", "cls")]


@pytest.mark.parametrize("name", ["ortvalue_from_numpy", "ortvalue_from_shape_and_type", "update_inplace", "numpy"])
def test_tensors_take_what_the_real_ones_take(name):
    found, real = (parameters(getattr(kind, name)) for kind in (fake_onnxruntime._OrtValue, onnxruntime.OrtValue))
    assert len(found) <= len(real)
    assert [each for each in found if each.startswith("device")] == [each for each in real if each.startswith("device")]


@pytest.mark.parametrize("name", ["bind_ortvalue_input", "bind_ortvalue_output"])
def test_bindings_take_what_the_real_ones_take(name):
    real = parameters(getattr(onnxruntime.IOBinding, name))
    assert len(parameters(getattr(fake_onnxruntime._Binding, name))) == len(real)


@pytest.mark.parametrize(
    "name", ["get_providers", "disable_fallback", "io_binding", "run_with_iobinding", "end_profiling", "run"]
)
def test_sessions_have_what_the_real_ones_have(name):
    real = parameters(getattr(onnxruntime.InferenceSession, name))
    assert len(parameters(getattr(fake_onnxruntime._Session, name))) <= len(real)


def test_a_bound_step_runs_on_the_real_runtime(tmp_path):
    spec = EngineSpec(
        precision="fp32",
        batch_size=2,
        input=TensorSpec(name="input", shape=list(INPUT_SHAPE)),
        outputs=(OutputSpec(name="logits", shape=[CLASSES]),),
        threads=1,
        cache_dir=tmp_path,
    )
    session = onnxruntime.InferenceSession(
        tiny_parts()[1]["variants/gdws/model.onnx"],
        session_options(onnxruntime, 1),
        providers=["CPUExecutionProvider"],
    )
    session.disable_fallback()
    first = np.random.default_rng(0).random((2, *INPUT_SHAPE), np.float32)
    second = first[::-1].copy()
    one, other = (bound_step(onnxruntime, session, batch, spec, "cpu") for batch in (first, second))
    for _ in range(2):
        assert np.allclose(one(), session.run(["logits"], {"input": first})[0], atol=1e-6)
        assert np.allclose(other(), session.run(["logits"], {"input": second})[0], atol=1e-6)


@pytest.mark.filterwarnings("ignore:Specified provider 'CUDAExecutionProvider'")
def test_the_real_runtime_leaves_out_what_does_not_start():
    """What the check after a session's making is for; so is a build for GPUs where CUDA's libraries are not."""
    if find_gpu() is not None:
        pytest.skip("there is a GPU here")
    session = onnxruntime.InferenceSession(
        tiny_parts()[1]["variants/gdws/model.onnx"],
        session_options(onnxruntime, 1),
        providers=[("CUDAExecutionProvider", {"device_id": "0"}), "CPUExecutionProvider"],
        enable_fallback=0,
    )
    assert session.get_providers() == ["CPUExecutionProvider"]
