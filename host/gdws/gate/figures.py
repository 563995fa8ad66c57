"""A run -> the figures that limits are about."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from gdws.gate.limits import Measure
from gdws.gate.pairing import Pairing, SideName, run_name
from gdws_contract.findings.setting import Setting
from gdws_contract.rest import BenchmarkResult, Cell


@dataclass(frozen=True)
class Subject:
    """The subject of a verdict: one network in one setting."""

    network: str
    setting: Setting

    def __str__(self) -> str:
        """``dense, batch 1, onnxruntime, fp32``."""
        return ", ".join((self.network, *self.setting.words))


@dataclass(frozen=True)
class Run:
    """The cells of one job, by subject."""

    candidate: Mapping[Subject, Cell]
    baseline: Mapping[Subject, Cell]


def read_run(result: BenchmarkResult, pairing: Pairing) -> Run:
    """The cells of a job on a bundle from :func:`gdws.gate.pairing.write_run`; other cells are ignored."""
    sides: dict[SideName, dict[Subject, Cell]] = {"candidate": {}, "baseline": {}}
    known = {run_name(side, network): (side, network) for side, network in pairing.members()}
    for cell in result.job.cells:
        key = cell.key
        if key.variant in known:
            side, network = known[key.variant]
            setting = Setting(key.backend, key.precision, key.batch_size, key.power_mode)
            sides[side][Subject(network, setting)] = cell
    return Run(sides["candidate"], sides["baseline"])


def log_figure(cell: Cell | None, measure: Measure) -> float | None:
    """The logarithm of a measure of ``cell``; None if it was not measured.

    A latency is the geometric mean of the medians of the windows, in milliseconds. Two networks that were measured in
    turns have windows of the same rounds: the difference of their logarithms is the mean of the paired log ratios.
    """
    value = None if cell is None else _figure(cell, measure)
    return math.log(value) if value is not None and 0 < value < math.inf else None


def _figure(cell: Cell, measure: Measure) -> float | None:
    if measure == "latency":
        medians = [window.median_ms for window in cell.rounds]
        if not medians or min(medians) <= 0:
            return None
        return math.exp(math.fsum(map(math.log, medians)) / len(medians))
    if measure == "fps":
        return cell.fps
    if measure == "energy":
        return cell.power.energy_per_inference_mj if cell.power else None
    if cell.latency is None:
        return None
    return cell.latency.p95_ms if measure == "p95" else cell.latency.p99_ms
