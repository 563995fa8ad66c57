"""Which groups the container's process takes, and that it gives up root for good."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "docker"))

import entrypoint

SCRIPTS = Path(entrypoint.__file__).parent

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away or become another user")


def make(path: Path, gid: int, mode: int) -> Path:
    path.write_text("")
    os.chown(path, -1, gid)
    path.chmod(mode)
    return path


@needs_root
def test_groups_that_may_use_a_file_are_taken(tmp_path: Path) -> None:
    make(tmp_path / "nvhost-gpu", 44, 0o660)
    make(tmp_path / "nvhost-ctrl", 44, 0o440)
    make(tmp_path / "renderD128", 109, 0o660)
    make(tmp_path / "closed", 77, 0o600)
    make(tmp_path / "roots", 0, 0o660)
    patterns = [f"{tmp_path}/{name}" for name in ("nvhost-*", "renderD*", "closed", "roots", "absent")]
    assert entrypoint.owning_groups(patterns) == {44, 109}


def test_what_cannot_be_looked_at_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    assert entrypoint.owning_groups([f"{tmp_path}/*"]) == set()


@needs_root
def test_root_is_given_up_for_good() -> None:
    script = (
        f"import sys, os; sys.path.insert(0, {str(SCRIPTS)!r}); import entrypoint\n"
        "entrypoint.become('nobody', {4242})\n"
        "assert os.getuid() == os.geteuid() != 0 and 0 not in os.getgroups() and 4242 in os.getgroups()\n"
        "assert os.environ['HOME'] != '/root'\n"
        "try:\n    os.setuid(0)\nexcept PermissionError:\n    print('gone')"
    )
    done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "gone", done.stderr
