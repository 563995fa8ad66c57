"""A short run of fuzz_api.py; ``make fuzz`` does the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.loading import load_script

CASES = 200


@pytest.mark.parametrize("seed", [1])
def test_no_request_brings_the_agent_into_trouble(tmp_path: Path, seed: int) -> None:
    lines: list[str] = []
    findings = load_script("tests/e2e/fuzz_api.py").fuzz(tmp_path, CASES, seed, lines.append)
    assert not findings, "\n".join(lines)
    assert int(lines[0].split()[0]) >= CASES
