"""Attacks on engines in every form of the report."""

from __future__ import annotations

import json

from gdws.results.report import render
from gdws.results.report.doubts import doubts
from gdws.results.report.figures import facts
from gdws.results.report.order import report_tables
from gdws_contract.measures import Flag
from gdws_contract.rest import BenchmarkRequest, BenchmarkResult, Cell
from support.benchmark_results import DENSE, KEPT, MODEL_ID, attacked_cell, cell, parity_failed_cell, result


def attacked(*cells: Cell, **options: object) -> BenchmarkResult:
    request = BenchmarkRequest.model_validate({"model_id": MODEL_ID, "precisions": ["fp32", "int8"], "attack": {}})
    return result([DENSE, KEPT], cells=list(cells), request=request, **options)


ALL = attacked(
    attacked_cell(DENSE, 20, host_wrong=25),
    attacked_cell(KEPT, 22),
    attacked_cell(DENSE, 40, precision="int8"),
    attacked_cell(KEPT, 24, precision="int8"),
)


def test_the_table_has_bounds_beside_the_replay_and_other_engines() -> None:
    (table,) = (each for each in report_tables(facts(ALL)) if each.title == "Attacked on the device")
    assert [heading for heading, _ in table.groups] == ["batch 1 · onnxruntime · fp32", "batch 1 · onnxruntime · int8"]
    rows = {
        (heading[-4:], row.name): dict(zip(table.columns, row.cells, strict=True))
        for heading, rows in table.groups
        for row in rows
    }
    dense = rows["fp32", "dense"]
    assert dense["Under the attack, at most"] == "80.0 % (71.1–86.7 %)"
    assert dense["Replayed inputs"] == "93.0 % (host 93.0 %)"
    assert (dense["Against dense"], dense["Against fp32"]) == ("–", "–")
    int8 = rows["int8", "dense"]
    assert int8["Against fp32"].startswith("−20.0 (")
    assert rows["int8", "mean-rank-4"]["Against fp32"].startswith("−2.0 (")
    assert "Square Attack (linf, eps 0.2, 1,000 queries for each image)" in table.note
    assert "upper bounds" in table.note


def test_an_engine_that_is_less_robust_is_the_first_doubt() -> None:
    found = doubts(facts(ALL))
    assert found[0].startswith("dense at batch 1 in int8 is less robust than the same network in fp32: −20.0 points")
    assert len(found) == 1  # chance is none, and an attack is no missing time


def test_what_spoils_an_attack_is_told() -> None:
    flag = Flag(code="attack-without-effect", detail="no query changed the margin of 80 of the 80 images")
    blind = attacked_cell(DENSE, 20).model_copy(update={"flags": [flag]})
    found = doubts(facts(attacked(blind, parity_failed_cell(KEPT, 1), partial=True)))
    assert found[0] == "The run was stopped early: 1 of 4 cells were attacked."
    assert "dense at batch 1 in fp32: no query changed the margin of 80 of the 80 images." in found
    assert any(each.startswith("mean-rank-4 failed parity and was not attacked") for each in found)


def test_every_format_has_it() -> None:
    for suffix in (".html", ".md"):
        page = render([ALL], suffix)
        assert "Attacked on the device" in page
        assert "80.0 % (71.1–86.7 %)" in page
        assert "at most this share of 100 images is robust" in page
        assert "Every measurement" not in page
        assert "with the networks in turn" not in page
    document = json.loads(render([ALL], ".json"))
    first = document["results"][0]["facts"]["measurements"][0]
    assert first["attack"]["robust"]["successes"] == 80
    assert first["attack"]["images"][5] == [5, 50, True, True]
    assert first["attacked"]["changes"][0]["against"] == "record"


def test_beside_a_benchmark_it_has_a_section_of_its_own() -> None:
    page = render([result([DENSE, KEPT]), ALL], ".html")
    assert "2 results side by side" in page
    assert page.count("Attacked on the device</h2>") == 1


def test_a_benchmark_has_no_such_table() -> None:
    timed = result([DENSE, KEPT], cells=[cell(DENSE, DENSE, 1), cell(KEPT, DENSE, 1)])
    assert all(table.title != "Attacked on the device" for table in report_tables(facts(timed)))
