"""A few kills of a search, on both sides."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.loading import load_script

optimize_kills = load_script("tests/e2e/optimize_kills.py")


@pytest.mark.timeout(900)
def test_a_search_that_is_killed_comes_to_the_same_plan_and_measures_nothing_twice(tmp_path: Path) -> None:
    summary = optimize_kills.run(tmp_path, kills=2, seed=1)

    assert sum(summary.kills.values()) == 2
    assert summary.measured_again <= 2
    assert summary.jobs > 0
