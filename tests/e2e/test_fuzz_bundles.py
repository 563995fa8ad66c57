"""A short run of fuzz_bundles.py; ``make fuzz`` does the long one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from support.loading import ROOT, load_script

INPUTS = 2_000


def test_no_bundle_brings_its_reader_into_trouble(tmp_path: Path) -> None:
    command = [
        sys.executable,
        ROOT / "tests/e2e/fuzz_bundles.py",
        "--inputs",
        str(INPUTS),
        "--keep",
        tmp_path / "found",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{INPUTS} inputs of seed 0: 0 findings" in done.stdout
    # All sorts of inputs get as far as they should, and some are even taken.
    judged = done.stdout.partition("judged: ")[2]
    for verdict in ("taken", "BundleUnreadable", "BundleUnsafe", "BundleTooLarge", "BundleCorrupt", "ManifestInvalid"):
        assert verdict in judged


def test_what_is_found_is_kept(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    script = load_script("tests/e2e/fuzz_bundles.py")

    def crash(content: bytes) -> str:
        raise IndexError("out of range")

    monkeypatch.setattr(script, "read", crash)
    told: list[str] = []
    assert script.run(3, 7, tmp_path / "found", told.append) == 3
    assert sorted(path.name for path in (tmp_path / "found").iterdir()) == ["7-0.gdws", "7-1.gdws", "7-2.gdws"]
    assert "FOUND input 0" in told[0]
    assert "IndexError" in told[0]
