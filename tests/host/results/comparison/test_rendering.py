"""A comparison for people and for programs."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from gdws.errors import ResultError
from gdws.results.comparison import compare
from gdws.results.comparison.rendering import render_json, render_markdown, write
from gdws_contract.manifest import HostEvaluation
from gdws_contract.rest import BenchmarkResult
from support.benchmark_results import (
    CUT,
    DENSE,
    KEPT,
    cell,
    failed_cell,
    profiled_cell,
    proportion,
    result,
    task_result,
)

SLOWER = dataclasses.replace(KEPT, median_ms=3.0)
COMPARISON = compare(
    result([DENSE, KEPT, CUT], label="main"),
    result(
        [DENSE, SLOWER, CUT],
        cells=[cell(SLOWER, DENSE, 1), failed_cell(CUT, 1, "killed")],
        hostname="a|b",
        partial=True,
    ),
    source_a="a.json",
    source_b="b.json",
)


def test_markdown_has_the_figures_and_what_differs() -> None:
    text = render_markdown(COMPARISON)
    (line,) = [line for line in text.splitlines() if line.startswith("| mean-rank-4 ")]
    assert "| batch 1, onnxruntime, fp32 | 1.50 | 3.00 | slower | 0.500 | 0.48" in line
    assert "cut-" not in text
    assert "mean-rank-1, batch 1, onnxruntime, fp32, is not compared: B: killed" in text
    assert "only A has dense" in text
    assert "labelled main" in text
    assert "  - Faster, accuracy kept: mean-rank-4 runs 1.33× as fast as the baseline at batch 1" in text
    assert "stopped early" in text
    assert "| device | bench-host | a\\|b |" in text


def test_equal_surroundings_are_said_to_be() -> None:
    same = compare(result([DENSE]), result([DENSE]), source_a="a", source_b="b")
    assert "Nothing that is known." in render_markdown(same)


def test_json_has_everything() -> None:
    document = json.loads(render_json(COMPARISON))
    assert document["schema_version"] == 1
    assert [each["verdict"] for each in document["cells"]] == ["slower", "not measured"]
    assert document["cells"][0]["speedup"]["value"] == pytest.approx(0.5)
    assert document["cells"][1]["speedup"] is None
    assert document["differences"] == [{"what": "device", "a": "bench-host", "b": "a|b"}]
    assert document["only_a"][0]["variant"] == "dense"


@pytest.mark.parametrize("name", ["c.md", "c.JSON"])
def test_the_suffix_chooses_the_format(tmp_path: Path, name: str) -> None:
    write(COMPARISON, tmp_path / name)
    content = (tmp_path / name).read_text()
    assert content == (render_markdown(COMPARISON) if name == "c.md" else render_json(COMPARISON))


def test_another_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match=r"\.pdf"):
        write(COMPARISON, tmp_path / "c.pdf")
    assert not list(tmp_path.iterdir())


def test_profiles_of_two_networks_are_a_table_of_layers() -> None:
    one, other = (result([net], cells=[profiled_cell(net)]) for net in (DENSE, KEPT))
    text = render_markdown(compare(one, other, source_a="a", source_b="b"))
    assert "| conv1 | 0.750 | 0.750 | 1.00 | 75.0 % | 75.0 % |" in text
    assert "Times are medians" not in text


def test_the_metrics_of_a_task_stand_in_place_of_accuracies() -> None:
    def measured(kept: int) -> BenchmarkResult:
        metrics = [{"detections_kept": proportion(hits, 40)} for hits in (40, kept)]
        found = [HostEvaluation(data="streets", origin="network", metrics=each) for each in metrics]
        return task_result([DENSE, KEPT], found, {"kind": "detection", "layout": "yolov8"})

    comparison = compare(measured(39), measured(30), source_a="a.json", source_b="b.json")
    source = render_markdown(comparison)
    assert "| detections kept |" in source
    assert "| natural |" not in source
    assert "97.5 % (39 of 40) → 75.0 % (30 of 40)" in source
    assert json.loads(render_json(comparison))["cells"][1]["metrics"][0]["b"] == "75.0 % (30 of 40)"
