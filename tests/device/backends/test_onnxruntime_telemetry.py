import subprocess
import sys

import pytest

from support.bundles import CLASSES, INPUT_SHAPE, tiny_parts
from support.telemetry import internet_sockets, left_in_home

pytest.importorskip("onnxruntime")


@pytest.fixture
def code(tmp_path):
    """A program that builds the tiny network and runs it once."""
    path = tmp_path / "model.onnx"
    path.write_bytes(tiny_parts()[1]["variants/dense/model.onnx"])
    return f"""
from pathlib import Path
import numpy as np
from gdws_agent.backends.base import EngineSpec
from gdws_agent.backends.onnxruntime.cpu import OnnxRuntimeBackend
from gdws_contract.manifest import OutputSpec, TensorSpec
shape = {list(INPUT_SHAPE)}
given, found = TensorSpec(name="input", shape=shape), OutputSpec(name="logits", shape=[{CLASSES}])
spec = EngineSpec("fp32", 1, given, (found,), 1, Path())
with OnnxRuntimeBackend().build(Path({str(path)!r}).read_bytes(), spec) as engine:
    engine.bind(np.zeros((1, *shape), np.float32))()
"""


@pytest.fixture
def home(tmp_path):
    made = tmp_path / "home"
    made.mkdir()
    return made


def test_the_runtime_writes_nothing_to_the_home_folder(code, home):
    assert left_in_home(code, home) == []


def test_the_runtime_looks_up_no_name(code, home):
    assert internet_sockets(code, home) == []


def test_a_model_does_not_choose_the_settings_of_its_session(tmp_path):
    onnx = pytest.importorskip("onnx")
    model = onnx.load_from_string(tiny_parts()[1]["variants/dense/model.onnx"])
    model.metadata_props.add(key="ort_config", value='{"session_options": {"enable_profiling": 1}}')
    onnx.save(model, str(tmp_path / "m.onnx"))
    code = (
        "import os; os.environ['ORT_LOAD_CONFIG_FROM_MODEL'] = '1'\n"
        "from gdws_agent.backends.onnxruntime.session import load_runtime\n"
        "load_runtime().InferenceSession('m.onnx', providers=['CPUExecutionProvider'])"
    )
    subprocess.run([sys.executable, "-c", code], cwd=str(tmp_path), check=True, timeout=120)
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]
