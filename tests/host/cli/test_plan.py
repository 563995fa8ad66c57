"""``gdws plan`` with one bound or several to compare."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import Result

from support.command import gdws
from support.tiny import tiny_checkpoint


def run(*arguments: object) -> Result:
    return gdws("plan", *arguments, "-q")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(tmp_path_factory.mktemp("net"))


def test_plans_side_by_side(checkpoint: Path) -> None:
    bounds = ["--beta", 0.5, "--budget", 2, "--equal-rank", 1, "--mean-rank", 1]
    shown = run(checkpoint, "--compare", *bounds)
    assert shown.exit_code == 0, shown.output
    for name in ("dense", "mean-rank-1", "beta-0.5", "budget-2", "equal-rank-1", "sum e²"):
        assert name in shown.stdout
    rows = {row["name"]: row for row in json.loads(run(checkpoint, "--compare", *bounds, "--json").stdout)}
    assert rows["budget-2"]["e2"] <= 2
    assert rows["beta-0.5"]["largest_e2"] <= 0.5
    assert rows["equal-rank-1"]["components"] == rows["mean-rank-1"]["components"]
    assert rows["equal-rank-1"]["e2"] >= rows["mean-rank-1"]["e2"]
    assert rows["equal-rank-1"]["macs_gdws"] < rows["equal-rank-1"]["macs_dense"]


def test_a_saving_of_macs_in_the_whole_network(checkpoint: Path) -> None:
    found = run(checkpoint, "--mac-saving", 2, "--layout", "stacked", "--json")
    assert found.exit_code == 0, found.output
    plan = json.loads(found.stdout)
    assert (plan["constraint"], plan["budget"]) == ("mac_saving", 2)
    row = json.loads(run(checkpoint, "--compare", "--mac-saving", 2, "--json").stdout)[0]
    assert row["name"] == "mac-saving-2"
    assert row["macs_dense"] >= 2 * row["macs_gdws"]


def test_alphas_by_random_signs(checkpoint: Path) -> None:
    found = run(checkpoint, "--budget", 0.01, "--alphas", 8, "--alphas-by", "random-signs", "--json")
    assert found.exit_code == 0, found.output
    plan = json.loads(found.stdout)
    assert plan["weighted"]
    assert (plan["constraint"], plan["budget"]) == ("budget", 0.01)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--compare"], "0 plans"),
        (["--beta", 1, "--budget", 1], "--compare"),
        (["--budget", -1], "budget"),
        (["--mac-saving", 1000], "1000 times fewer MACs"),
        (["--compare", "--beta", 1, "--beta", 1], "two networks"),
    ],
    ids=str,
)
def test_what_cannot_be_is_exit_2(checkpoint: Path, options: list[object], words: str) -> None:
    found = run(checkpoint, *options)
    assert found.exit_code == 2
    assert words in found.stderr


def test_a_comparison_stores_no_plan(checkpoint: Path, tmp_path: Path) -> None:
    found = run(checkpoint, "--compare", "--beta", 1, "--out", tmp_path / "plan.json")
    assert found.exit_code == 2
    assert "does not store plans" in found.stderr
