"""The Markdown report, read as GitHub reads it."""

from __future__ import annotations

from dataclasses import replace

from markdown_it import MarkdownIt

from gdws.results.report import render
from gdws.results.report.markdown import escape
from support.benchmark_results import (
    CUT,
    DENSE,
    KEPT,
    attack_check,
    cell,
    failed_cell,
    jetson_result,
    layer,
    parity_failed_cell,
    profiled_cell,
    result,
)

HOSTILE = "| a | <script>alert(1)</script> [x](javascript:alert(1)) `b` **c** \n# d"


def tables(source: str) -> list[list[str]]:
    """The runs of lines that begin with a bar."""
    found: list[list[str]] = [[]]
    for line in source.splitlines():
        if line.startswith("|"):
            found[-1].append(line)
        elif found[-1]:
            found.append([])
    return [lines for lines in found if lines]


def columns(line: str) -> int:
    return line.replace("\\|", "").count("|") - 1


def test_every_row_of_a_table_has_its_columns() -> None:
    cells = [cell(DENSE, DENSE, 1), parity_failed_cell(KEPT, 1), failed_cell(CUT, 1, HOSTILE)]
    nets = [DENSE, replace(KEPT, method=HOSTILE, layers=(layer(HOSTILE, converted=False, reason=HOSTILE),)), CUT]
    source = render([result(nets, cells=cells)], ".md")
    assert len(tables(source)) == 3
    for lines in tables(source):
        assert {columns(line) for line in lines} == {columns(lines[0])}


def test_nothing_in_a_result_becomes_markup() -> None:
    made = result([replace(DENSE, method=HOSTILE), KEPT], description=HOSTILE, hostname=HOSTILE)
    page = MarkdownIt("commonmark").enable("table").render(render([made], ".md"))
    assert "&lt;script&gt;" in page
    for markup in ("<script", "<a ", "<code", "<h1>d"):
        assert markup not in page


def test_the_verdict_and_the_doubts_are_there() -> None:
    source = render([result([DENSE, KEPT], simulated=True)], ".md")
    assert "mean-rank-4 runs 1.33× as fast" in source
    assert "- The device is simulated" in source


def test_escape_gives_one_line() -> None:
    assert escape("a\n|b*") == "a \\|b\\*"


def test_what_a_jetson_tells_is_shown() -> None:
    page = render([jetson_result([DENSE, KEPT], modes=("MAXN", 2), simulated=True)], ".md")
    for text in (
        "## Power and energy",
        "57.1 mJ (56.0–58.3)",
        "## Heat and clocks",
        "## Engines",
        "**Batch 1**, tensorrt",
    ):
        assert text in page
    assert page.index("On a simulated device") < page.index("## ")
    assert "## Power" not in render([result([DENSE, KEPT])], ".md")


def test_a_profile_is_shown_layer_by_layer() -> None:
    page = render([result([DENSE], cells=[profiled_cell(DENSE)])], ".md")
    assert "| conv1/Conv | conv1 | Conv | 0.750 | 75.0 % |" in page
    assert "Every measurement" not in page


def test_a_robust_accuracy_that_is_not_to_be_trusted_is_marked() -> None:
    text = render([result([DENSE, replace(KEPT, check=attack_check(random=True))])], ".md")
    rows = [line for line in text.splitlines() if line.startswith("| **") and "cannot be trusted" in line]
    assert len(rows) == 1
    assert "mean" in rows[0]
    assert "The network is random" in text
