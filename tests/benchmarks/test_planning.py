"""The table of predicted latencies keeps what other runs measured, and decides by the limits."""

from __future__ import annotations

from typing import Any

from benchmarks.planning.__main__ import NETWORKS, table, updated

FIRST, SECOND, _ = NETWORKS
ONE, TWO = "onnxruntime, fp32, batch 1, 1 thread", "onnxruntime, fp32, batch 1, 2 threads"


def cell(network: str = FIRST, setting: str = ONE, *, day: int = 1, **changes: Any) -> dict[str, Any]:
    machine = {"cpu": "a cpu", "load_average_before": 0.1, "date": f"2026-11-{day:02d}"}
    place = {"network": network, "setting": setting, "machine": machine, "min_duration_s": 1.0}
    errors = {"median": 0.01, "p90": 0.02, "worst": 0.03, "dense_ms": 1.5}
    return {**place, **errors, "has_pair_terms": False, "table_s": 60.0, "known_s": 4.0, **changes}


def rows(cells: list[dict[str, Any]]) -> list[list[str]]:
    lines = [line for line in table(cells).splitlines() if line.startswith("| mnist-")]
    return [[part.strip() for part in line.strip("|").split("|")] for line in lines]


def test_a_cell_takes_the_place_of_the_one_of_its_network_and_setting_alone() -> None:
    cells: list[dict[str, Any]] = []
    for each in (cell(SECOND, dense_ms=9.0), cell(setting=TWO), cell(), cell(SECOND, dense_ms=8.0)):
        cells = updated(cells, each)
    assert [row[:3] for row in rows(cells)] == [[FIRST, ONE, "1.5"], [FIRST, TWO, "1.5"], [SECOND, ONE, "8"]]


def test_a_cell_is_within_the_limits_only_where_both_errors_are() -> None:
    cells = [cell(), cell(setting=TWO, p90=0.061), cell(SECOND, median=0.031)]
    assert [row[-1] for row in rows(cells)] == ["yes", "no", "no"]
    assert "1 are within both and 2 are not" in table(cells)


def test_a_cell_of_a_machine_that_was_not_at_rest_decides_nothing() -> None:
    cells = [cell(dense_spread=0.09), cell(setting=TWO, dense_spread=0.11, median=0.2)]
    assert [(row[3], row[-1]) for row in rows(cells)] == [("9 %", "yes"), ("11 %", "not at rest")]
    assert "1 are within both and 0 are not; 1 decide nothing" in table(cells)


def test_it_takes_no_other_cells_place() -> None:
    noisy = cell(dense_spread=0.11, dense_ms=9.0)
    assert [row[2] for row in rows(updated([cell()], noisy))] == ["1.5"]
    assert [row[2] for row in rows(updated([noisy], cell()))] == ["1.5"]
    assert [row[2] for row in rows(updated([], noisy))] == ["9"]


def test_each_machine_and_day_is_told_once() -> None:
    words = table([cell(), cell(setting=TWO), cell(SECOND, day=2)])
    assert [words.count(f"2026-11-0{day}") for day in (1, 2)] == [1, 1]
    assert "load_average" not in words
