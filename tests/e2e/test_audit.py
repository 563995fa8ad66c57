"""The audit of pinned versions, with pip-audit's answers played."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from support.loading import load_script

CLEAN = {"name": "a", "version": "1", "vulns": []}
UNKNOWN = {"name": "b", "version": "2", "skip_reason": "not found"}
BAD = {"name": "c", "version": "3", "vulns": [{"id": "PYSEC-1", "fix_versions": ["4"]}]}


def run(monkeypatch: pytest.MonkeyPatch, stdout: str, stderr: str = "") -> int:
    script = load_script("tests/audit.py")
    done = subprocess.CompletedProcess([], 1, stdout, stderr)
    monkeypatch.setattr(script.subprocess, "run", lambda *arguments, **options: done)
    status: int = script.main(["pins.txt"])
    return status


def listed(*dependencies: dict[str, Any]) -> str:
    return json.dumps({"dependencies": dependencies, "fixes": []})


@pytest.mark.parametrize(
    ("stdout", "status", "told"),
    [
        (listed(CLEAN), 0, "1 of 1 pins known, 0 warnings"),
        (listed(CLEAN, UNKNOWN), 0, "1 of 2 pins known"),
        (listed(CLEAN, BAD), 1, "c 3: PYSEC-1, fixed in 4"),
        (listed(UNKNOWN, UNKNOWN), 0, "SKIPPED"),
        ("", 0, "SKIPPED: audit of pins.txt: the vulnerability service cannot be asked (no route)"),
    ],
)
def test_what_is_known_fails_and_what_cannot_be_asked_is_skipped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], stdout: str, status: int, told: str
) -> None:
    assert run(monkeypatch, stdout, "Traceback\nno route") == status
    assert told in capsys.readouterr().out
