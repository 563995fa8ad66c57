"""TensorRT's published type stubs, in a folder of their own within the virtual environment.

They would make ``import tensorrt`` succeed without TensorRT, so they are never installed as a package. Run as a
script, it fetches them. Some of their definitions are not Python: defaults that are no expressions, a parameter
called ``in``. The copy is mended.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Optional

REQUIREMENTS = Path(__file__).resolve().parents[1] / "tensorrt-stubs.txt"
FOLDER = Path(sys.prefix) / "tensorrt-stubs"
_DONE = FOLDER / ".ready"
_BINDINGS = Path("tensorrt_bindings", "tensorrt.pyi")


def bindings() -> Optional[Path]:
    """Return the stubs of TensorRT's classes; None where :func:`install` has not run."""
    return FOLDER / _BINDINGS if _DONE.exists() else None


def install() -> Path:
    """Return the folder with the pinned stubs; pip fetches them once."""
    wanted = REQUIREMENTS.read_text()
    if not (_DONE.exists() and _DONE.read_text() == wanted):
        options = ["--quiet", "--no-deps", "--upgrade", "--target", str(FOLDER), "--requirement", str(REQUIREMENTS)]
        subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", "install", *options], check=True)
        for path in FOLDER.rglob("*.pyi"):
            path.write_text(mended(path.read_text()))
        _DONE.write_text(wanted)
    return FOLDER


def mended(text: str) -> str:
    """Return stubs with every default written as ``...``, and one for each parameter after the first that has one."""
    return re.sub(r"^( *def \w+\()(.*)(\) -> .*|\):)$", _mend_parameters, text, flags=re.MULTILINE)


def _mend_parameters(match: re.Match[str]) -> str:
    parameters, optional = [], False
    for parameter in re.split(r", (?=\*{0,2}\w+(?:[:,=)]| =|$)|/|\*)", match[2]):
        name, has_default, _ = re.sub(r"^in:", "in_:", parameter).partition(" = ")
        optional = optional or bool(has_default)
        plain = not name.startswith(("*", "/")) and name != ""
        parameters.append(f"{name} = ..." if optional and plain else name)
    return match[1] + ", ".join(parameters) + match[3]


if __name__ == "__main__":
    install()
