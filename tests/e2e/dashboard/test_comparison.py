"""Two results side by side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from gdws_contract.measures import RoundSummary
from gdws_contract.rest import BenchmarkResult, Protocol
from support.agent_process import AgentProcess
from support.benchmark_results import CUT, DENSE, KEPT, cell, failed_cell, result
from support.browser import Page

Look = Callable[..., Page]


def test_two_results_are_chosen_from_the_list_and_held_side_by_side(show: Look) -> None:
    before = result([DENSE, KEPT, CUT], label="before")
    faster = [DENSE, replace(KEPT, median_ms=1.0)]
    after = result(faster, label="after", batch_sizes=(1, 8), protocol=Protocol(seed=7, threads=1))
    page = show(before, after, route="#/results")
    page.find("tbody tr", "before")
    assert not page.find("button", "Compare").is_enabled()
    for label in ("after", "before"):  # whatever the order: the older one is A
        page.find("tbody tr", label).find_element("css selector", "input").click()
    page.click("button", "Compare")
    page.find(".pair", "A: before")
    page.find(".pair", "B: after")
    rows = page.texts("table.figures tbody tr")
    notes = " ".join(page.texts(".note"))
    differences = page.texts("h2 ~ .scroll tbody tr")
    assert len(rows) == 2
    assert rows[0].split("\n")[-2:] == ["0.98–1.02", "not distinguishable"]
    assert rows[1].startswith("mean-rank-4")
    assert rows[1].split("\n")[-3:] == ["1.50×", "1.47–1.53", "faster"]
    assert "Only in A: mean-rank-1 at batch 1, onnxruntime, fp32." in notes
    assert "Only in B: dense at batch 8, onnxruntime, fp32 and mean-rank-4 at batch 8" in notes
    assert [difference.split() for difference in differences] == [
        ["protocol:", "threads", "–", "1"],
        ["protocol:", "seed", "0", "7"],
    ]


def test_a_difference_within_the_range_of_the_windows_is_what_the_agent_says_of_it(show: Look) -> None:
    def with_windows(*medians_ms: float) -> BenchmarkResult:
        windows = [RoundSummary(index=i, count=9, median_ms=m, duration_s=0.1) for i, m in enumerate(medians_ms)]
        return result([DENSE], cells=[cell(DENSE, DENSE, 1).model_copy(update={"rounds": windows})])

    slow, fast = with_windows(*[2.0, 2.1, 2.05] * 4), with_windows(*[1.9, 1.92] * 6, 2.01)
    page = show(slow, fast, route="#/compare?a={}&b={}")
    page.find("table.figures strong.better", "1.07×")
    (row,) = page.texts("table.figures tbody tr")
    assert row.split("\n")[-1] == "faster"


def test_a_cell_without_times_says_why(show: Look) -> None:
    failed = result([DENSE], cells=[failed_cell(DENSE, 1, "out of memory")])
    page = show(result([DENSE]), failed, route="#/compare?a={}&b={}")
    page.find("table.figures td", "not measured: B: out of memory")


def test_results_that_share_nothing_say_so(show: Look) -> None:
    page = show(result([DENSE]), result([DENSE], batch_sizes=(8,)), route="#/compare?a={}&b={}")
    page.find(".note", "They have no cell in common")
    page.find(".note", "No known difference")


def test_others_are_chosen_on_the_page(show: Look) -> None:
    page = show(*[result([DENSE], label=label) for label in ("one", "two")], route="#/compare")
    page.find(".note", "Choose a result A")
    page.click("select[name=a] option", "one")
    page.click("select[name=b] option", "two")
    page.click(".chooser button")
    page.find(".pair", "A: one")
    page.refresh()
    page.find(".pair", "B: two")


def test_a_lone_result_has_nothing_to_be_compared_with(device: AgentProcess, look: Look) -> None:
    look(device.url, "#/compare").find(".note", "Two results are needed")
