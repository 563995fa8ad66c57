"""The forms, the order and the deadline of ``benchmarks/speed_by_rank``."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

import pytest

from benchmarks.speed_by_rank import __main__ as speed
from benchmarks.speed_by_rank import forms, table


def test_each_form_is_named_once_and_its_name_tells_what_it_is() -> None:
    made = forms.recipes((1.0, 1.5, 2.0))
    assert [forms.form_of(recipe.name) for recipe in made] == [
        {"mean_rank": recipe.budget.value, "layout": recipe.layout} for recipe in made
    ]
    assert [(recipe.budget.value, recipe.layout) for recipe in made] == [
        (1.0, "gather"),
        (1.0, "stacked"),
        (1.5, "gather"),
        (2.0, "gather"),
        (2.0, "stacked"),
        (2.0, "grouped"),
    ]
    assert forms.form_of("dense") == {"mean_rank": None, "layout": None}


def test_the_most_telling_settings_come_first() -> None:
    found = speed.places(Namespace(networks=["a", "b"], batch=[1, 8, 4], threads=[2, 1]))
    assert [(place.network, place.batch, place.threads) for place in found[:6]] == [
        ("a", 1, 1),
        ("b", 1, 1),
        ("a", 1, 2),
        ("b", 1, 2),
        ("a", 8, 2),
        ("b", 8, 2),
    ]
    assert len(set(found)) == len(found) == 12


def cell(network: str, batch: int, dense_ms: float, took_s: float = 7.0) -> dict[str, Any]:
    def form(rank: float | None, layout: str | None, ratio: float, flags: list[str]) -> dict[str, Any]:
        interval = {"low": ratio - 0.1, "high": ratio + 0.1}
        return {
            "median_ms": dense_ms / ratio,
            "fps": 1e3 * ratio * batch / dense_ms,
            "speedup": None if rank is None else {"ratio": ratio, "interval": interval},
            "flags": flags,
            "mean_rank": rank,
            "layout": layout,
            "macs_saved": 1.0 if rank is None else 9 / rank,
        }

    return {
        "network": network,
        "batch": batch,
        "threads": 1,
        "load_average_before": 0.1,
        "took_s": took_s,
        "forms": {
            "mean-rank-2-stacked": form(2.0, "stacked", 3.0, []),
            "mean-rank-1": form(1.0, "gather", 5.0, ["unstable"]),
            "dense": form(None, None, 1.0, []),
        },
    }


def test_a_cell_is_expected_to_take_as_long_as_its_inferences() -> None:
    found = [cell("small", 1, dense_ms=1.0), cell("large", 1, dense_ms=100.0, took_s=12.0)]
    assert speed.expected_s(speed.Place("small", 1, 2), [], 0.5) == 0.0
    assert speed.expected_s(speed.Place("other", 1, 2), found, 0.5) == 12.0
    assert speed.expected_s(speed.Place("small", 8, 2), found, 0.5) == pytest.approx(3 * (0.5 + 0.5))
    assert speed.expected_s(speed.Place("large", 8, 2), found, 0.5) == pytest.approx(3 * (0.5 + 20 * 0.8))


def test_the_table_has_a_column_for_each_cell_and_a_line_for_each_form() -> None:
    results = {"machine": {"cpu": "none"}, "min_duration_s": 0.5, "cells": [cell("a", 1, 1.0), cell("b", 8, 2.0)]}
    lines = table.render(results).splitlines()
    assert lines.count("| G/C | layout | MACs saved | batch 1, threads 1 |") == 1
    assert "| dense | | | 2 ms, 4e+03 FPS |" in lines
    assert "| 1 | gather | 9.0x | *5.00 (4.90 to 5.10)* |" in lines
    assert "| 2 | stacked | 4.5x | 3.00 (2.90 to 3.10) |" in lines
    assert lines.index("| 1 | gather | 9.0x | *5.00 (4.90 to 5.10)* |") < lines.index(
        "| 2 | stacked | 4.5x | 3.00 (2.90 to 3.10) |"
    )
