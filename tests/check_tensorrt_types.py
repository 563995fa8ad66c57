"""Checks the TensorRT backend against TensorRT's own types: ``python tests/check_tensorrt_types.py``.

Elsewhere mypy knows nothing of TensorRT, and takes whatever the backend calls for right. Here it is shown the
published stubs. Exit status and output are mypy's.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from support.tensorrt_stubs import install

ROOT = Path(__file__).resolve().parents[1]
BACKEND = Path("device", "gdws_agent", "backends", "tensorrt")
#: The stubs are made by a machine; faults in them are not ours.
_CONFIGURATION = """\
[mypy]
plugins = pydantic.mypy
explicit_package_bases = True
namespace_packages = True
ignore_missing_imports = True
disallow_untyped_defs = True
warn_return_any = True

[mypy-tensorrt,tensorrt.*,tensorrt_bindings.*]
ignore_errors = True
"""


def main() -> int:
    """Return mypy's exit status over the files that speak to TensorRT."""
    folder = install()
    configuration = folder / "mypy.ini"
    configuration.write_text(_CONFIGURATION)
    files = sorted(str(path.relative_to(ROOT)) for path in (ROOT / BACKEND).glob("*.py"))
    options = ["--config-file", str(configuration), "--cache-dir", str(folder / ".mypy_cache")]
    paths = os.pathsep.join([str(ROOT / "device"), str(folder)])
    return subprocess.run(
        [sys.executable, "-m", "mypy", *options, *files], cwd=ROOT, env={**os.environ, "MYPYPATH": paths}
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
