"""What a gate should have seen."""

from __future__ import annotations

from gdws.gate.coverage import Expected, coverage_verdicts
from gdws.gate.figures import Run, Subject
from gdws.gate.settings import Measurement
from gdws_contract.findings.setting import Setting
from support.benchmark_results import proportion
from support.gate_runs import DENSE_SUBJECT, SETTING, run, timed_cell

CELL = timed_cell(2.0)
GDWS = Subject("gdws", SETTING)
BATCH_8 = Setting("onnxruntime", "fp32", 8)


def told(expected: Expected, *runs: Run) -> list[str]:
    found = coverage_verdicts(expected, runs)
    assert all(verdict.outcome == "INCONCLUSIVE" and verdict.limit == "coverage" for verdict in found)
    return [verdict.sentence for verdict in found]


def test_full_coverage_is_not_reported() -> None:
    assert told(Expected(["dense"], ["dense"]), run(2.0), run(2.1)) == []
    assert told(Expected(["dense"]), run(2.0, None)) == []


def test_a_cell_is_missed_in_the_runs_that_lack_it() -> None:
    whole, half = Run({DENSE_SUBJECT: CELL, GDWS: CELL}, {}), run(2.0, None)
    expected = Expected(["dense", "gdws"])
    subject = "gdws, batch 1, onnxruntime, fp32"
    assert told(expected, whole, half, whole) == [f"{subject}: it was not measured in run 2: INCONCLUSIVE."]
    assert told(expected, half, whole, half) == [f"{subject}: it was not measured in runs 1 and 3: INCONCLUSIVE."]
    assert told(expected, half, half) == [f"{subject}: it was not measured in any run: INCONCLUSIVE."]


def test_a_setting_of_one_network_is_one_of_all() -> None:
    other = Run({DENSE_SUBJECT: CELL, Subject("dense", BATCH_8): CELL, GDWS: CELL}, {})
    assert told(Expected(["dense", "gdws"]), other) == [
        "gdws, batch 8, onnxruntime, fp32: it was not measured in any run: INCONCLUSIVE."
    ]


def test_what_was_asked_for_is_missed_where_something_else_was_measured() -> None:
    asked = Measurement(batch_sizes=[8], precisions=["fp32"])
    assert told(Expected(["dense"], asked=asked), run(2.0)) == [
        "dense, batch 8, onnxruntime, fp32: it was not measured in any run: INCONCLUSIVE."
    ]
    named = Measurement(backends=["onnxruntime", "tensorrt"])
    assert told(Expected(["dense"], asked=named), run(2.0)) == [
        "dense, batch 1, tensorrt, fp32: it was not measured in any run: INCONCLUSIVE."
    ]
    assert told(Expected(["dense"], asked=Measurement()), run(2.0)) == []


def test_every_image_is_to_be_replayed_on_both_sides() -> None:
    assert told(Expected(["dense"], images=128), run(2.0), run(2.0)) == []
    assert CELL.parity is not None
    half = CELL.model_copy(update={"parity": CELL.parity.model_copy(update={"robust": proportion(60, 64)})})
    words = ["dense, batch 1, onnxruntime, fp32: 64 to 128 of 128 images were replayed: INCONCLUSIVE."]
    assert told(Expected(["dense"], images=128), run(half), run(2.0)) == words
    assert told(Expected(["dense"], images=128), run(2.0, half), run(2.0)) == words


def test_the_baseline_is_missed_too() -> None:
    assert told(Expected(["dense"], ["dense"]), run(2.0), run(2.0, None)) == [
        "dense, batch 1, onnxruntime, fp32: the baseline was not measured in run 2: INCONCLUSIVE."
    ]


def test_a_job_without_any_cell_measured_nothing() -> None:
    assert told(Expected(["dense", "gdws"]), Run({}, {})) == [
        "dense: no run measured it: INCONCLUSIVE.",
        "gdws: no run measured it: INCONCLUSIVE.",
    ]


def test_what_a_file_holds_and_what_is_gone() -> None:
    kept = [Subject("dense", BATCH_8)]
    assert told(Expected(["dense"], gone=["old"], kept=kept), run(2.0, None)) == [
        "old: the baseline has this network and the candidate does not: INCONCLUSIVE.",
        "dense, batch 8, onnxruntime, fp32: it was not measured in any run: INCONCLUSIVE.",
    ]
