"""A few kills of a sweep, on both sides."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.loading import load_script

fleet_kills = load_script("tests/e2e/fleet_kills.py")


@pytest.mark.timeout(600)
def test_a_sweep_that_is_killed_measures_every_cell_and_none_twice_but_what_was_cut(tmp_path: Path) -> None:
    size = fleet_kills.Size(devices=2, threads=1, batch_sizes=(1,))
    summary = fleet_kills.run(tmp_path, kills=2, seed=3, size=size, longest_s=2.0)

    assert sum(summary.kills.values()) == 2
    assert summary.cells >= size.cells
