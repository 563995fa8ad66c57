"""ONNX Runtime on the host keeps to itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gdws.onnx_io.run import CannotRun, run
from support.bundles import INPUT_SHAPE, tiny_parts
from support.telemetry import internet_sockets, left_in_home

pytest.importorskip("onnxruntime")


@pytest.fixture
def code(tmp_path: Path) -> str:
    path = tmp_path / "model.onnx"
    path.write_bytes(tiny_parts()[1]["variants/dense/model.onnx"])
    return (
        "import numpy as np\nfrom pathlib import Path\nfrom gdws.onnx_io.run import run\n"
        f"run(Path({str(path)!r}).read_bytes(), [np.zeros((1, *{INPUT_SHAPE}), np.float32)])"
    )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path / "home"
    made.mkdir()
    return made


def test_running_a_file_writes_nothing_to_the_home_folder(code: str, home: Path) -> None:
    assert left_in_home(code, home) == []


def test_running_a_file_looks_up_no_name(code: str, home: Path) -> None:
    assert internet_sockets(code, home) == []


def test_its_own_format_is_not_read(tmp_path: Path) -> None:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "model.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    model = tiny_parts()[1]["variants/dense/model.onnx"]
    onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    with pytest.raises(CannotRun, match="protobuf"):
        run((tmp_path / "model.ort").read_bytes(), [np.zeros((1, *INPUT_SHAPE), np.float32)])
