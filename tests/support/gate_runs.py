"""Runs of a gate made by hand, for tests of whatever judges them. No figure in them was measured."""

from __future__ import annotations

import dataclasses

from gdws.gate.figures import Run, Subject
from gdws_contract.findings.setting import Setting
from gdws_contract.measures import RoundSummary
from gdws_contract.rest import Cell
from support.benchmark_results import DENSE, cell, proportion

SETTING = Setting("onnxruntime", "fp32", 1)
DENSE_SUBJECT = Subject("dense", SETTING)


def timed_cell(median_ms: float, *, natural: int = 126, robust: int = 119) -> Cell:
    """A cell whose windows all have that median, right on so many of 128 images."""
    net = dataclasses.replace(DENSE, median_ms=median_ms)
    made = cell(net, net, 1)
    assert made.parity is not None
    accuracies = {"natural": proportion(natural, 128), "robust": proportion(robust, 128)}
    windows = [RoundSummary(index=i, count=9, median_ms=median_ms, duration_s=0.1) for i in range(4)]
    return made.model_copy(update={"rounds": windows, "parity": made.parity.model_copy(update=accuracies)})


def run(candidate: Cell | float, baseline: Cell | float | None = 2.0) -> Run:
    """A run of one network; numbers are medians in milliseconds."""
    own, beside = (timed_cell(each) if isinstance(each, float) else each for each in (candidate, baseline))
    assert own is not None
    return Run({DENSE_SUBJECT: own}, {} if beside is None else {DENSE_SUBJECT: beside})
