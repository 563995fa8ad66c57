"""Results of networks that are not classifiers: their task's metrics stand in place of accuracies."""

from __future__ import annotations

from collections.abc import Callable

from gdws_contract.manifest import HostEvaluation
from gdws_contract.rest import BenchmarkResult
from support.benchmark_results import DENSE, KEPT, proportion, task_result
from support.browser import Page


def detector(kept: int, model_id: str) -> BenchmarkResult:
    found = [{"detections_kept": proportion(hits, 40)} for hits in (40, kept)]
    evaluations = [HostEvaluation(data="streets", origin="network", metrics=each) for each in found]
    made = task_result([DENSE, KEPT], evaluations, {"kind": "detection", "layout": "yolov8"})
    request = made.job.request.model_copy(update={"model_id": model_id})
    return made.model_copy(update={"job": made.job.model_copy(update={"request": request})})


def test_the_table_the_plot_and_the_verdict_tell_what_was_measured(show: Callable[..., Page]) -> None:
    page = show(detector(39, "ab" * 32))
    assert "detections kept 97.5 % (39 of 40)" in page.find(".verdict").text
    cells = page.texts('td[data-head="Detections kept"]')
    assert [each.split("\n")[0] for each in cells] == ["100.0 % (40 of 40)", "97.5 % (39 of 40)"]
    assert page.texts('td[data-head="Natural"]') == []
    (words, _) = page.script(
        "return [...document.querySelectorAll('figure svg')].map((each) => each.getAttribute('aria-label'))"
    )
    assert words.startswith("Plot of detections kept against images per second at batch 1: dense 490 FPS and 100.0 %")
    assert page.script("return document.querySelectorAll('.plot .goal').length") == 0


def test_two_results_are_compared_by_them(show: Callable[..., Page]) -> None:
    page = show(detector(39, "ab" * 32), detector(30, "cd" * 32), route="#/compare?a={}&b={}")
    page.find("td", "97.5 % (39 of 40) → 75.0 % (30 of 40)")
