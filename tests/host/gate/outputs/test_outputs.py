"""What CI shows of a gate."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from gdws.gate.outputs import append_summary, remove_outputs, write_outputs
from gdws.gate.outputs.annotations import workflow_commands
from gdws.gate.outputs.junit import render_junit
from gdws.gate.outputs.page import render_page
from gdws.gate.outputs.summary import render_summary
from gdws.gate.reports import DeviceReport, GateReport, observe
from gdws.gate.verdicts import Outcome, Verdict
from support.gate_runs import run

FAILED = Verdict("max_slowdown_percent", "dense, batch 1", "FAIL", "dense: latency 5 % above: FAIL.", 5, 4, 6, 3, "%")
OPEN = Verdict("min_fps", "dense, batch 1", "INCONCLUSIVE", "dense: not clear: INCONCLUSIVE.")
PASSED = Verdict("parity", "dense, batch 1", "PASS", "dense: logits as they should be: PASS.")


def device(name: str, outcome: Outcome | None, *verdicts: Verdict, error: str | None = None) -> DeviceReport:
    return DeviceReport(
        device=name,
        url="http://xavier:8000",
        outcome=outcome,
        error=error,
        verdicts=verdicts,
        notes=("the noise is not known",),
        environment={"L4T": "35.4.1", "board": None},
        finished_runs=4,
        duration_s=12.5,
        observed=observe([run(2.0), run(2.2)]),
    )


def report(*devices: DeviceReport) -> GateReport:
    return GateReport("model.gdws", "main.gdws", "2026-01-02T03:04:05Z", devices)


WHOLE = report(device("xavier", "FAIL", PASSED, OPEN, FAILED), device("orin", None, error="it went away"))


@pytest.mark.parametrize(
    ("outcomes", "outcome", "code", "word"),
    [
        (["PASS", "PASS"], "PASS", 0, "PASS"),
        (["PASS", "FAIL"], "FAIL", 1, "FAIL"),
        (["PASS", "INCONCLUSIVE"], "INCONCLUSIVE", 2, "INCONCLUSIVE"),
        (["PASS", None], None, 3, "UNAVAILABLE"),
        (["INCONCLUSIVE", None], None, 3, "UNAVAILABLE"),
        (["FAIL", None], "FAIL", 1, "FAIL"),
    ],
)
def test_one_verdict_over_all_devices(
    outcomes: list[Outcome | None], outcome: Outcome | None, code: int, word: str
) -> None:
    found = report(*(device(f"d{index}", each) for index, each in enumerate(outcomes)))
    assert (found.outcome, found.exit_code, found.word) == (outcome, code, word)


def test_every_file_is_written_and_the_json_has_everything(tmp_path: Path) -> None:
    assert write_outputs(WHOLE, tmp_path / "out") == []
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
    document = json.loads((tmp_path / "out" / "gate.json").read_text())
    assert (document["schema_version"], document["outcome"], document["exit_code"]) == (1, "FAIL", 1)
    assert document["devices"][0]["verdicts"][2] == dataclasses.asdict(FAILED)
    assert document["devices"][1]["error"] == "it went away"


FILES = {
    "gate.json", "gate.html", "summary.md", "junit.xml", "badge.json", "badge.svg", "bencher.json",
    "benchmark-smaller.json", "benchmark-bigger.json",
}  # fmt: skip


def test_what_cannot_be_written_is_a_warning_and_the_rest_is_written(tmp_path: Path) -> None:
    (tmp_path / "junit.xml").mkdir()
    (warning,) = write_outputs(WHOLE, tmp_path)
    assert warning == f"{tmp_path / 'junit.xml'} could not be written: Is a directory"
    assert {path.name for path in tmp_path.iterdir()} == FILES
    (tmp_path / "file").write_text("")
    assert len(write_outputs(WHOLE, tmp_path / "file")) == len(FILES)
    assert len(append_summary(WHOLE, tmp_path / "gone" / "step_summary")) == 1


def test_a_fault_of_a_page_is_a_warning_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(report: GateReport) -> str:
        raise TypeError("a template of another release")

    monkeypatch.setattr("gdws.gate.outputs.write.render_page", fail)
    (warning,) = write_outputs(WHOLE, tmp_path)
    assert "gate.html could not be written: TypeError: a template" in warning


def test_what_a_former_gate_wrote_is_removed_and_nothing_else(tmp_path: Path) -> None:
    write_outputs(WHOLE, tmp_path)
    (tmp_path / "mine.txt").write_text("")
    assert remove_outputs(tmp_path) == []
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    assert remove_outputs(tmp_path / "absent") == []


@pytest.mark.parametrize(
    "render", [render_junit, render_summary, render_page, lambda r: "\n".join(workflow_commands(r))]
)
def test_text_of_a_bundle_moves_no_cursor_and_turns_no_line(render: Callable[[GateReport], str]) -> None:
    hostile = "\x1b[2J\x9b31m\u202eSSAP\u2066\r\x07\u2028\x00"
    named = dataclasses.replace(FAILED, sentence=hostile, subject=hostile)
    found = dataclasses.replace(report(device("x", "FAIL", named), device("y", None, error=hostile)), candidate=hostile)
    assert not set(hostile) - set("[2J31mSSAP") & set(render(found))


def test_junit_has_a_suite_for_each_device_and_a_case_for_each_limit() -> None:
    root = ElementTree.fromstring(render_junit(WHOLE))
    xavier, orin = root.findall("testsuite")
    assert {name: xavier.get(name) for name in ("name", "tests", "failures", "errors", "skipped")} == {
        "name": "xavier",
        "tests": "3",
        "failures": "1",
        "errors": "0",
        "skipped": "1",
    }
    cases = {case.get("name"): case for case in xavier.findall("testcase")}
    assert cases["max_slowdown_percent"].find("failure").get("message") == FAILED.sentence  # type: ignore[union-attr]
    assert cases["max_slowdown_percent"].get("classname") == "xavier.dense, batch 1"
    assert cases["min_fps"].find("skipped") is not None
    assert cases["parity"].find("failure") is None
    (lost,) = orin.findall("testcase/error")
    assert (orin.get("errors"), lost.get("message")) == ("1", "it went away")


def test_junit_takes_any_text() -> None:
    strange = dataclasses.replace(FAILED, sentence="\x00\x1b<&>\ud800\U0001f600")
    root = ElementTree.fromstring(render_junit(report(device("x", "FAIL", strange))))
    (failure,) = root.findall(".//failure")
    assert failure.get("message") == "\\x00\\x1b<&>\\ud800\U0001f600"


def test_the_summary_begins_with_what_needs_a_look() -> None:
    text = render_summary(WHOLE)
    assert text.startswith("## gdws gate: FAIL\n")
    places = [text.index(word) for word in ("| FAIL |", "| INCONCLUSIVE |", "| PASS |", "### orin: UNAVAILABLE")]
    assert places == sorted(places)
    assert "The device failed: it went away." in text


def test_text_of_a_bundle_is_no_markup() -> None:
    hostile = dataclasses.replace(FAILED, sentence="<script>|[x](y)")
    found = report(device("x", "FAIL", hostile))
    assert "\\<script\\>\\|\\[x\\](y)" in render_summary(found)
    assert "&lt;script&gt;" in render_page(found)
    assert "<script" not in render_page(found)


def test_the_page_tells_how_it_was_measured_but_nothing_unknown() -> None:
    page = render_page(WHOLE)
    assert "35.4.1" in page
    assert '<th scope="row">board</th>' not in page
    assert "http-equiv" in page


def test_annotations_are_commands_on_a_line_each() -> None:
    many = dataclasses.replace(FAILED, sentence="5 % above\nnext")
    lines = workflow_commands(report(device("a:b", "FAIL", many, OPEN, PASSED), device("c", None, error="gone")))
    assert lines == [
        "::error title=gdws gate%3A max_slowdown_percent on a%3Ab::5 %25 above%0Anext",
        "::warning title=gdws gate%3A min_fps on a%3Ab::dense: not clear: INCONCLUSIVE.",
        "::error title=gdws gate%3A c::gone",
    ]


@pytest.mark.parametrize(("outcome", "word"), [("PASS", "pass"), ("FAIL", "fail"), (None, "unavailable")])
def test_the_badge_shows_the_outcome(tmp_path: Path, outcome: Outcome | None, word: str) -> None:
    write_outputs(report(device("x", outcome)), tmp_path)
    endpoint = json.loads((tmp_path / "badge.json").read_text())
    assert (endpoint["schemaVersion"], endpoint["label"], endpoint["message"]) == (1, "gdws gate", word)
    assert endpoint["isError"] is (word != "pass")
    svg = ElementTree.parse(tmp_path / "badge.svg").getroot()
    assert word in [element.text for element in svg.iter("{http://www.w3.org/2000/svg}text")]


# Exports

PATH = "xavier/dense/onnxruntime/fp32/batch-1"


def test_bencher_gets_the_mean_over_runs_in_nanoseconds(tmp_path: Path) -> None:
    write_outputs(report(device("xavier", "PASS")), tmp_path)
    (measures,) = json.loads((tmp_path / "bencher.json").read_text()).items()
    path, found = measures
    assert path == PATH
    assert set(found) == {"latency", "latency-p95-ns", "latency-p99-ns", "throughput"}
    assert found["latency"]["value"] == pytest.approx(1e6 * (2.0 * 2.2) ** 0.5)
    assert found["latency"]["lower_value"] < found["latency"]["value"] < found["latency"]["upper_value"]


def test_github_action_benchmark_gets_one_direction_a_file(tmp_path: Path) -> None:
    write_outputs(report(device("xavier", "PASS")), tmp_path)
    smaller, bigger = (json.loads((tmp_path / f"benchmark-{word}.json").read_text()) for word in ("smaller", "bigger"))
    assert [entry["name"] for entry in smaller] == [
        f"{PATH}: {name}" for name in ("latency", "p95 latency", "p99 latency")
    ]
    assert [(entry["name"], entry["unit"]) for entry in bigger] == [(f"{PATH}: throughput", "images/s")]


def test_without_runs_there_is_nothing_to_export() -> None:
    assert observe([]) == ()
    assert observe([run(2.0)])[0].interval is None
