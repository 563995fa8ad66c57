"""Sees what a Python program leaves in its home folder, and whether it looks up names or connects."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

#: ONNX Runtime 1.31 first reports about ten seconds after it was loaded.
_REPORTS_AFTER_S = 12


def left_in_home(code: str, home: Path) -> list[str]:
    """Run ``code`` with the empty folder ``home`` as its home, and return what lies there then."""
    subprocess.run([sys.executable, "-c", code], env=_environment(home), check=True, timeout=120)
    return [str(path.relative_to(home)) for path in home.rglob("*")]


def internet_sockets(code: str, home: Path) -> list[str]:
    """Run ``code`` in a network namespace of its own, until reports would have gone out; return what it opened.

    Looking up a name opens one, whether or not there is a network. Skips the test where that cannot be seen.
    """
    if shutil.which("strace") is None or subprocess.run(["unshare", "-n", "true"], check=False).returncode != 0:
        pytest.skip("needs strace, and the right to make a network namespace")
    trace = home.parent / "trace"
    command = ["unshare", "-n", "strace", "-f", "-e", "trace=socket", "-o", str(trace), sys.executable, "-c"]
    waiting = f"{code}\nimport time\ntime.sleep({_REPORTS_AFTER_S})"
    subprocess.run([*command, waiting], env=_environment(home), check=True, timeout=120)
    return [line for line in trace.read_text().splitlines() if "AF_INET" in line]


def _environment(home: Path) -> dict[str, str]:
    """This process's, with another home and without anything that turns telemetry off or moves what it writes."""
    dropped = ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")
    return {**{name: value for name, value in os.environ.items() if name not in dropped}, "HOME": str(home)}
