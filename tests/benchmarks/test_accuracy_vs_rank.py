"""Which targets the stored figures of ``benchmarks/accuracy_vs_rank`` reach."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.accuracy_vs_rank import figures


def row(method: str, mean_rank: float | None, natural: float, robust: float, *speedups: float) -> dict[str, Any]:
    def share(value: float) -> dict[str, Any]:
        return {"value": value, "interval": {"low": value - 0.01, "high": value + 0.01}}

    speed = {
        f"threads {threads}, batch {batch}": {
            "fps": 100 * ratio,
            "speedup": {"ratio": ratio, "interval": {"low": ratio, "high": ratio}},
        }
        for threads in (1, 2)
        for batch, ratio in zip((1, 8), speedups, strict=True)
    }
    return {
        "method": method,
        "mean_rank": mean_rank,
        "dense_layers": 0,
        "mac_saving": 2.0,
        "natural": share(natural),
        "robust": share(robust),
        "speed": speed,
        "of": {"images": 1000},
    }


TARGETS = figures.Targets()
ROWS = {
    "dense": row("dense", None, 0.98, 0.94, 1.0, 1.0),
    "data-rank-2-stacked": row("data-aware", 2.0, 0.975, 0.932, 2.6, 2.2),
    "data-rank-1-stacked": row("data-aware", 1.0, 0.97, 0.80, 5.0, 5.0),
    "data-rank-1-stacked-tuned": row("data-aware", 1.0, 0.975, 0.931, 5.0, 4.0),
    "mean-rank-5": row("weights", 5.0, 0.97, 0.90, 1.1, 1.0),
    "mean-rank-7": row("weights", 7.0, 0.98, 0.94, 0.8, 0.7),
}


def test_all_targets_reached() -> None:
    found = figures.reached(ROWS, TARGETS)
    assert [met for _, met in found] == [True] * 7
    assert "data-rank-2-stacked, 2.20 times" in found[0][0]
    assert "data-rank-1-stacked-tuned, 4.00 times" in found[3][0]
    assert "data-rank-2-stacked against mean-rank-7, 3.25 times" in found[6][0]


def test_what_loses_more_than_a_point_does_not_count() -> None:
    rows = {**ROWS, "data-rank-2-stacked": row("data-aware", 2.0, 0.969, 0.94, 2.6, 2.2)}
    assert [met for _, met in figures.reached(rows, TARGETS)] == [False, True, True, True, False]
    assert figures.lost(rows["dense"], rows["data-rank-2-stacked"]) == pytest.approx(1.1)


def test_the_slower_batch_size_counts() -> None:
    rows = {**ROWS, "data-rank-2-stacked": row("data-aware", 2.0, 0.98, 0.94, 2.6, 1.9)}
    assert not figures.reached(rows, TARGETS)[0][1]


def test_each_network_may_run_on_the_threads_that_suit_it_best() -> None:
    rows = {name: {**each, "speed": dict(each["speed"])} for name, each in ROWS.items()}
    rows["dense"]["speed"]["threads 2, batch 1"] = {"fps": 130.0, "speedup": None}
    words, met = figures.reached(rows, TARGETS)[2]
    assert met
    assert "each on the threads that suit it best: data-rank-2-stacked, 2.00 times" in words
    rows["dense"]["speed"]["threads 2, batch 1"] = {"fps": 131.0, "speedup": None}
    assert not figures.reached(rows, TARGETS)[2][1]


def test_a_larger_mean_rank_does_not_count() -> None:
    rows = {**ROWS, "data-rank-2-stacked": row("data-aware", 2.6, 0.98, 0.94, 2.6, 2.2)}
    assert not figures.reached(rows, TARGETS)[0][1]


def test_targets_differ_by_network_and_threads() -> None:
    targets = figures.Targets(most_mean_rank=None, speedup={1: 2.0, 2: 2.5}, speedup_tuned={1: 4.0, 2: 4.5})
    assert [met for _, met in figures.reached(ROWS, targets)] == [True, False, True, True, False, True, True]
    rows = {**ROWS, "data-rank-2-stacked": row("data-aware", 4.0, 0.98, 0.94, 2.6, 2.2)}
    assert figures.reached(rows, targets)[0][1]


def test_nothing_is_told_against_a_method_that_was_not_judged() -> None:
    rows = {name: each for name, each in ROWS.items() if each["method"] != "weights"}
    words, met = figures.reached(rows, TARGETS)[-1]
    assert not met
    assert "no network of the published method is judged yet" in words


def test_without_times_nothing_is_reached() -> None:
    rows = {name: {key: value for key, value in each.items() if key != "speed"} for name, each in ROWS.items()}
    assert figures.reached(rows, TARGETS) == [("its speed is not measured yet", False)]


def test_table_and_plot_show_every_network(tmp_path: Path) -> None:
    results = {"calibration": 8, "alpha_images": 4, "machines": {}, "networks": {"net": ROWS}}
    text = figures.table(results, {"net": TARGETS})
    assert all(f"| {name} |" in text for name in ROWS)
    figures.plot(results["networks"], tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 10_000
