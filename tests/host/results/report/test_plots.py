"""Plots: what is drawn, and where the names go."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

from hypothesis import given, settings
from hypothesis import strategies as st

from gdws.results.report.figures import facts
from gdws.results.report.labels import Box, choose_boxes
from gdws.results.report.plots import accuracy_against_speed, latency_by_batch
from support.benchmark_results import CUT, DENSE, KEPT, cell, failed_cell, jetson_result, parity_failed_cell, result

INSIDE = Box(0, 0, 300, 200)


def texts(svg: str) -> list[str]:
    return [
        "".join(element.itertext()).strip()
        for element in ElementTree.fromstring(svg).iter()
        if element.tag.endswith("}text")
    ]


def test_each_timed_network_is_a_named_point() -> None:
    found = facts(
        result([DENSE, KEPT, CUT], cells=[cell(DENSE, DENSE, 1), cell(KEPT, DENSE, 1), parity_failed_cell(CUT, 1)])
    )
    plot = accuracy_against_speed(found, found.settings[0], key="p")
    assert plot is not None
    assert {"dense", "mean-rank-4", "robust accuracy (%)"} <= set(texts(plot.svg))
    assert "mean-rank-1" not in texts(plot.svg)
    assert "dense 490 FPS and 93.9 %" in plot.alt


def test_natural_accuracy_is_plotted_where_nobody_was_attacked() -> None:
    found = facts(result([replace(DENSE, robust=None), replace(KEPT, robust=None)]))
    plot = accuracy_against_speed(found, found.settings[0], key="p")
    assert plot is not None
    assert "natural accuracy (%)" in texts(plot.svg)


def test_no_plot_without_points() -> None:
    unevaluated = facts(result([replace(DENSE, natural=None)]))
    assert accuracy_against_speed(unevaluated, unevaluated.settings[0], key="p") is None
    untimed = facts(result([DENSE], cells=[failed_cell(DENSE, 1, "killed")]))
    assert accuracy_against_speed(untimed, untimed.settings[0], key="p") is None
    assert latency_by_batch(untimed, untimed.settings, key="p") is None


def test_a_single_network_with_a_single_figure_is_drawn() -> None:
    lone = cell(DENSE, DENSE, 1).model_copy(update={"rounds": []})
    found = facts(result([DENSE], cells=[lone]))
    assert accuracy_against_speed(found, found.settings[0], key="p") is not None


def test_latency_has_a_panel_a_batch_size() -> None:
    found = facts(result([DENSE, KEPT], batch_sizes=(1, 4, 16)))
    plot = latency_by_batch(found, found.settings, key="p")
    assert plot is not None
    shown = texts(plot.svg)
    assert {"batch 1", "batch 4", "batch 16"} <= set(shown)
    assert shown.count("mean-rank-4") == 3
    assert latency_by_batch(found, [], key="p") is None


def test_the_panel_of_a_power_mode_names_it() -> None:
    found = facts(jetson_result([DENSE, KEPT], modes=("MAXN", 2)))
    plot = latency_by_batch(found, found.settings[1:], key="p")
    assert plot is not None
    assert "batch 1, power mode 2" in texts(plot.svg)
    assert "batch 1, MAXN" not in texts(plot.svg)


def test_colours_come_from_the_page_and_ids_from_the_key() -> None:
    found = facts(result([DENSE, KEPT]))
    plot = accuracy_against_speed(found, found.settings[0], key="mine")
    assert plot is not None
    assert "var(--accent)" in plot.svg
    assert not re.search(r"#0[1-9]0", plot.svg)
    assert all(name.startswith("mine-") for name in re.findall(r'\bid="([^"]+)"', plot.svg))
    assert "<style" not in plot.svg


@given(st.lists(st.tuples(st.floats(20, 280), st.floats(20, 180)), min_size=1, max_size=8))
@settings(deadline=None, max_examples=50)
def test_a_label_is_beside_its_point(anchors: list[tuple[float, float]]) -> None:
    boxes = choose_boxes(["mean-rank-4"] * len(anchors), anchors, INSIDE, size_pt=9)
    for (x, y), box in zip(anchors, boxes, strict=True):
        assert box.left - 12 <= x <= box.right + 12
        assert box.bottom - 25 <= y <= box.top + 25


def test_labels_of_neighbours_do_not_meet() -> None:
    anchors = [(100.0, 100.0), (110.0, 104.0), (240.0, 100.0)]
    boxes = choose_boxes(["dense", "mean-rank-4", "mean-rank-2"], anchors, INSIDE, size_pt=9)
    assert all(a.overlap(b) == 0 for i, a in enumerate(boxes) for b in boxes[:i])


def test_a_label_stays_in_the_frame() -> None:
    (box,) = choose_boxes(["mean-rank-4"], [(290.0, 195.0)], INSIDE, size_pt=9)
    assert box.overlap(INSIDE) == box.area
