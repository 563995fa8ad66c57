"""A few kills of the harness, and that it would notice a loss."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.loading import load_script

kill_harness = load_script("tests/e2e/kill_harness.py")


def key(variant: str, batch_size: int = 1) -> str:
    return json.dumps({"variant": variant, "batch_size": batch_size})


GROUP = {key(variant): {"measured_ns": number} for number, variant in enumerate(kill_harness.VARIANTS)}


def test_nothing_that_had_finished_is_lost_by_a_few_kills(tmp_path: Path) -> None:
    summary = kill_harness.Harness(tmp_path, groups=40, seed=3).run(kills=5)

    assert sum(summary.kills.values()) >= 5
    assert summary.cells == summary.groups * len(kill_harness.VARIANTS)
    assert summary.groups >= 40


def test_more_cells_are_no_loss() -> None:
    kill_harness.check(GROUP, {**GROUP, key("dense", 8): {}})


def test_a_cell_that_is_gone_is_a_loss() -> None:
    with pytest.raises(kill_harness.Lost, match="is gone"):
        kill_harness.check(GROUP, dict(list(GROUP.items())[1:]))


def test_a_group_that_was_complete_must_not_be_measured_again() -> None:
    again = {**GROUP, key("a"): {"measured_ns": 99}}
    with pytest.raises(kill_harness.Lost, match="measured again"):
        kill_harness.check(GROUP, again)


def test_a_group_that_was_cut_off_may_be_measured_again() -> None:
    part = {key("dense"): {"measured_ns": 1}}
    kill_harness.check(part, {**GROUP, key("dense"): {"measured_ns": 2}})
