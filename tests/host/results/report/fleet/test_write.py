"""The report over devices as people read it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gdws.results.report.fleet import FORMATS, FleetMeasurement, SetAside, render_fleet_report, write_fleet_report
from support.benchmark_results import KEPT, parity_failed_cell, result
from support.fleet_results import board, with_cell


def fleet() -> list[FleetMeasurement]:
    equal = [board(f"orin-{i}", 1 + 0.002 * i) for i in range(4)]
    broken = with_cell(board("agx-1", 0.5, model="Jetson AGX Orin"), "mean-rank-4", parity_failed_cell(KEPT, 1))
    return [*equal, board("orin-slow", 1.3), broken, board("orin-15W", 1.8, mode="MODE_15W")]


ASIDE = [SetAside("roof", ("roof",), "it does not answer"), SetAside("orin-1", (), "its token is refused")]


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    return {suffix: render_fleet_report(fleet(), ASIDE, suffix) for suffix in FORMATS}


@pytest.mark.parametrize("suffix", [".html", ".md"])
def test_every_part_is_told(texts: dict[str, str], suffix: str):
    for words in (
        "dense is best for the worst board, orin-15W (3.60 ms)",
        "orin-slow stands out from 4 equal boards: it takes 1.29× the time of the median one",
        "roof was set aside: it does not answer.",
        "mean-rank-4 failed parity on agx-1 in 1 setting: logits differ by 0.31",
        "in different power modes and are compared in equal ones",
        "Jetson AGX Orin, L4T 36.4.0, 4 cores",
        "1.33× (1.31–1.36)",
        "accuracy kept",
        "57.1 mJ",
        "Spread between equal boards",
        "Equal boards",
        "not timed on agx-1",
    ):
        assert words in texts[suffix].replace("\\_", "_"), words


def test_markdown_has_a_dash_with_the_reason(texts: dict[str, str]):
    assert "– (logits differ by 0.31 of the largest, more than 0.001)" in texts[".md"]
    assert "– (set aside: it does not answer)" in texts[".md"]


def test_json_has_the_sentences_and_the_figures(texts: dict[str, str]):
    document = json.loads(texts[".json"])

    assert document["headline"].endswith("and for the median board (2.01 ms).")
    assert len(document["findings"]) == 1
    assert [each["device"] for each in document["standings"] if each["stands_out"]] == ["orin-slow"]
    assert document["plans"][0]["for_worst"]["device"] == "orin-15W"
    assert document["spreads"][0]["ratio"]["low"] > 1


def test_the_page_needs_nothing_else_and_escapes_names():
    page = render_fleet_report([FleetMeasurement("<b>x</b>", (), result([KEPT], description="d"))], [], ".html")

    assert "<b>x</b>" not in page
    assert "&lt;b&gt;x&lt;/b&gt;" in page
    assert "<script" not in page
    assert "src=" not in page


def test_a_fleet_that_was_set_aside_from_the_start_has_a_report_too(tmp_path: Path):
    for suffix in FORMATS:
        out = tmp_path / f"fleet{suffix}"
        write_fleet_report([], ASIDE, out)
        assert "No device was measured." in out.read_text()


def test_a_single_device_is_the_only_board():
    text = render_fleet_report([board("a")], [], ".md")

    assert "mean-rank-4 is the fastest on the only board, a: 1.50 ms, faster than dense" in text.replace("\\-", "-")
    assert "Equal boards" not in text
