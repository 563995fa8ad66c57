"""The Python 3.8 of the oldest supported device, where the machine has one."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def python38() -> Path:
    """The interpreter that GDWS_PYTHON38 names, or the repository's .venv38; skips the test if there is none."""
    path = Path(os.environ.get("GDWS_PYTHON38") or ROOT / ".venv38" / "bin" / "python")
    if not path.is_file():
        pytest.skip(f"no Python 3.8 at {path}: set GDWS_PYTHON38 to one with device/constraints/jetpack5.txt installed")
    return path


def run_json(interpreter: Path | str, script: Path, *arguments: object) -> Any:
    """What ``script`` prints as JSON on its last line, run with the device packages and tests at hand."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'device'}{os.pathsep}{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"}
    command = [str(interpreter), str(script), *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
