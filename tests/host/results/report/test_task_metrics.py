"""Reports on networks that are not classifiers: their task's metrics stand in place of accuracies."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest

from gdws.cli.views.result_table import print_summary
from gdws.results.report import render, summarise
from gdws.results.report.figures import facts
from gdws.results.report.plots import accuracy_against_speed
from gdws_contract.manifest import HostEvaluation
from gdws_contract.measures import Figure, Metric
from gdws_contract.rest import BenchmarkResult
from support.benchmark_results import DENSE, KEPT, proportion, task_result

DETECTOR: dict[str, object] = {
    "kind": "detection",
    "layout": "yolov8",
    "score_threshold": 0.3,
    "classes": ["cat", "<b>", *(f"c{number}" for number in range(19))],
}


def made(*found: dict[str, Metric], task: dict[str, object] = DETECTOR, origin: str = "network") -> BenchmarkResult:
    evaluations = [
        HostEvaluation.model_validate({"data": "<streets>, test", "origin": origin, "metrics": metrics})
        for metrics in found
    ]
    return task_result([DENSE, KEPT], evaluations, task)


RESULT = made(
    {"detections_kept": proportion(40, 40), "detections_confirmed": proportion(40, 40)},
    {"detections_kept": proportion(39, 40), "detections_confirmed": proportion(39, 41)},
)


@pytest.mark.parametrize("suffix", [".md", ".html"])
def test_the_metrics_are_there_and_no_empty_accuracy(suffix: str) -> None:
    page = render([RESULT], suffix)
    plain = re.sub(r"\\(.)", r"\1", page)
    assert "97.5 % (39 of 40)" in plain
    assert "Detections kept" in plain
    assert "Metrics of the task" in plain
    assert "95.1 % (39 of 41)" in plain
    assert "Objects count from a score of 0.3" in plain
    assert "<streets>" not in page
    assert "<b>" not in page
    assert "detection (yolov8); classes: cat, " in plain
    assert "c17, … (21)" in plain
    for words in ("Robust accuracy</th", "Robust<br>accuracy", "| Robust accuracy", "Natural accuracy |"):
        assert words not in page


def test_programs_read_them_too() -> None:
    document = json.loads(render([RESULT], ".json"))
    (_, converted) = document["results"][0]["facts"]["variants"]
    assert [each["shown"] for each in converted["metrics"]] == ["97.5 % (39 of 40)", "95.1 % (39 of 41)"]
    rows = list(csv.DictReader(io.StringIO(render([RESULT], ".csv"))))
    assert rows[1]["metrics"] == "detections_kept=0.975 detections_confirmed=0.95122"
    assert rows[1]["natural"] == ""


def test_the_terminal_shows_those_that_lead(capsys: pytest.CaptureFixture[str]) -> None:
    print_summary(summarise(RESULT))
    shown = capsys.readouterr().out
    assert "detections kept" in shown
    assert "97.5 % (39 of 40)" in shown


def test_agreement_is_plotted_without_a_goal() -> None:
    found = facts(RESULT)
    plot = accuracy_against_speed(found, found.settings[0], key="p")
    assert plot is not None
    assert "detections kept (%)" in plot.svg
    assert "mean-rank-4 654 FPS and 97.5 %" in plot.alt
    assert not plot.has_goal


def test_a_metric_with_labels_has_a_goal_and_a_change() -> None:
    interval = {"low": 0.35, "high": 0.39, "method": "jackknife"}
    labelled = [
        {"map": Figure.model_validate({"value": value, "higher_is_better": True, "interval": interval})}
        for value in (0.374, 0.370)
    ]
    result = made(*labelled, origin="labelled")
    found = facts(result)
    plot = accuracy_against_speed(found, found.settings[0], key="p")
    assert plot is not None
    assert plot.has_goal
    assert "mAP at IoU 0.5 to 0.95" in plot.svg
    assert "FPS and 0.370." in plot.alt
    assert "0.370, 0.350–0.390, −0.4 points" in render([result], ".md")


def test_outputs_of_integers_alone_have_no_difference_to_show() -> None:
    integers = {"equal": proportion(1000, 1000)}
    result = made(integers, integers, task={"kind": "outputs"})
    cells = []
    for cell in result.job.cells:
        assert cell.parity is not None
        output = {"name": "ids", "passed": True, "scale": 9, "max_abs_diff": 0, "max_rel_diff": 0, "tolerance_abs": 0}
        outputs = [{**output, "agreement": proportion(128, 128)}]
        fields = {**cell.parity.model_dump(), "outputs": outputs, "max_rel_diff": None, "max_abs_diff": None}
        cells.append(cell.model_copy(update={"parity": type(cell.parity).model_validate(fields)}))
    result = result.model_copy(update={"job": result.job.model_copy(update={"cells": cells})})
    page = render([result], ".html")
    assert "not comparable" not in page
    assert "Equal entries" in page
