"""The reports for programs."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest

from gdws.errors import ResultError
from gdws.results.report import FORMATS, render
from support.benchmark_results import CUT, DENSE, KEPT, attack_check, cell, failed_cell, jetson_result, result

RESULT = result([DENSE, KEPT, CUT], cells=[cell(DENSE, DENSE, 1), cell(KEPT, DENSE, 1), failed_cell(CUT, 1, "killed")])


def test_json_holds_verdicts_and_figures() -> None:
    document = json.loads(render([RESULT, RESULT], ".json"))
    assert document["schema_version"] == 1
    first = document["results"][0]
    assert first["headline"] == first["verdicts"][0]["sentence"]
    assert first["verdicts"][0]["kind"] == "gain"
    measured = {m["variant"]: m for m in first["facts"]["measurements"]}
    assert measured["mean-rank-4"]["speedup"]["ratio"] == pytest.approx(4 / 3)
    assert measured["mean-rank-1"]["fps"] is None
    assert measured["mean-rank-1"]["reason"] == "killed"
    assert len(document["results"]) == 2


def test_csv_has_a_row_a_cell_and_nothing_for_the_unknown() -> None:
    rows = list(csv.DictReader(io.StringIO(render([RESULT], ".csv"))))
    assert [row["variant"] for row in rows] == ["dense", "mean-rank-4", "mean-rank-1"]
    assert rows[0]["speedup"] == ""
    assert float(rows[1]["speedup_low"]) == pytest.approx(4 / 3 * 0.98)
    assert rows[2]["median_ms"] == ""
    assert rows[2]["reason"] == "killed"
    assert None not in rows[2].values()


def test_csv_text_cannot_become_a_formula() -> None:
    made = result([DENSE, KEPT], hostname="=HYPERLINK(1)")
    rows = list(csv.DictReader(io.StringIO(render([made], ".csv"))))
    assert rows[0]["device"] == "'=HYPERLINK(1)"


def test_an_unknown_format_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ResultError, match=r"\.pdf") as caught:
        render([RESULT], ".pdf")
    assert all(suffix in (caught.value.hint or "") for suffix in FORMATS)


def test_no_results_are_refused() -> None:
    with pytest.raises(ResultError, match="no results"):
        render([], ".md")


def test_the_row_of_a_jetson() -> None:
    (row,) = csv.DictReader(io.StringIO(render([jetson_result([DENSE], modes=(2,))], ".csv")))
    told = {name: row[name] for name in ("power_mode", "jetson_clocks", "power_w", "idle_w", "throttled", "builds")}
    assert told == {
        "power_mode": "MODE_15W",
        "jetson_clocks": "True",
        "power_w": "28.0",
        "idle_w": "8.0",
        "throttled": "False",
        "builds": "3",
    }
    assert float(row["energy_low_mj"]) < float(row["energy_mj"]) < float(row["energy_high_mj"])
    assert float(row["sustained_fps"]) == pytest.approx(0.8 * float(row["burst_fps"]))
    assert (row["compute_ms"], row["temperature_max_c"], row["power_reason"]) == ("1.8", "52.0", "")


def test_whether_robust_accuracy_is_to_be_trusted_is_told_to_programs() -> None:
    nets = [replace(DENSE, check=attack_check()), replace(KEPT, check=attack_check(random=True)), CUT]
    rows = list(csv.DictReader(io.StringIO(render([result(nets)], ".csv"))))
    assert [row["robust_trusted"] for row in rows] == ["True", "False", ""]
    variants = json.loads(render([result(nets)], ".json"))["results"][0]["facts"]["variants"]
    assert [v["attack_check"] and v["attack_check"]["trusted"] for v in variants] == [True, False, None]
    assert variants[1]["attack_check"]["random"] is True
