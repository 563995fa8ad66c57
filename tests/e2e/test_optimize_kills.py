"""A few kills of a search, on both sides."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

_SPEC = importlib.util.spec_from_file_location("optimize_kills", Path(__file__).with_name("optimize_kills.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
optimize_kills = importlib.util.module_from_spec(_SPEC)
sys.modules["optimize_kills"] = optimize_kills
_SPEC.loader.exec_module(optimize_kills)


@pytest.mark.timeout(900)
def test_a_search_that_is_killed_comes_to_the_same_plan_and_measures_nothing_twice(tmp_path: Path) -> None:
    summary = optimize_kills.run(tmp_path, kills=2, seed=1)

    assert sum(summary.kills.values()) == 2
    assert summary.measured_again <= 2
    assert summary.jobs > 0
