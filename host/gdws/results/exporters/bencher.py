"""Bencher Metric Format (bencher.dev/docs/reference/bencher-metric-format): benchmarks, their measures, a metric each.

The built-in measures of Bencher are ``latency`` in nanoseconds and ``throughput`` in operations per second, which are
images here. Others are made by Bencher when they come first, without a unit; their names say it.
"""

from __future__ import annotations

import json

from gdws.results.exporters.figures import measured_cells, path_of, typical_latency
from gdws_contract.findings.intervals import IntervalEstimate
from gdws_contract.measures import Interval, Proportion
from gdws_contract.rest import BenchmarkResult, Cell

NS_PER_MS = 1e6

Metric = dict[str, float]


def render_bencher(result: BenchmarkResult) -> str:
    """A benchmark for each cell that was timed or attacked. Raises :class:`ResultError` if there is none."""
    benchmarks = {path_of(result, cell): _measures(cell) for cell in measured_cells(result)}
    return json.dumps(benchmarks, indent=1, ensure_ascii=False) + "\n"


def _measures(cell: Cell) -> dict[str, Metric]:
    measures: dict[str, Metric] = {}
    if cell.latency is not None:
        latency = typical_latency(cell)
        measures["latency"] = metric(latency.value if latency else cell.latency.median_ms, latency, scale=NS_PER_MS)
        if cell.latency.p99_ms is not None:
            measures["latency-p99-ns"] = metric(cell.latency.p99_ms, scale=NS_PER_MS)
    if cell.fps is not None:
        measures["throughput"] = metric(cell.fps)
    if cell.power is not None and cell.power.energy_per_inference_mj is not None:
        measures["energy-mj"] = metric(cell.power.energy_per_inference_mj, cell.power.energy_interval)
    if cell.parity is not None:
        for name, found in (("natural", cell.parity.natural), ("robust", cell.parity.robust)):
            if found is not None:
                measures[f"{name}-accuracy-percent"] = _share(found)
    if cell.attack is not None:
        measures["square-robust-accuracy-percent"] = _share(cell.attack.robust)
    return measures


def _share(proportion: Proportion) -> Metric:
    return metric(proportion.value, proportion.interval, scale=100)


def metric(value: float, interval: IntervalEstimate | Interval | None = None, *, scale: float = 1.0) -> Metric:
    """A metric whose figures are ``scale`` times those given, with bounds where there is an interval."""
    bounds = {} if interval is None else {"lower_value": scale * interval.low, "upper_value": scale * interval.high}
    return {"value": scale * value, **bounds}
