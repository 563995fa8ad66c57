"""The candidate's figures for the tools that keep the history of benchmarks; see :mod:`gdws.results.exporters`.

Unlike those of a single result, the bounds here are over runs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from gdws.gate.limits import Measure
from gdws.gate.reports import GateReport, Observed
from gdws.results.exporters.bencher import NS_PER_MS, Metric, metric
from gdws.results.exporters.github_action_benchmark import Direction, figure

#: The measure of Bencher, and the factor from our unit to its.
_BENCHER: dict[Measure, tuple[str, float]] = {
    "latency": ("latency", NS_PER_MS),
    "p95": ("latency-p95-ns", NS_PER_MS),
    "p99": ("latency-p99-ns", NS_PER_MS),
    "fps": ("throughput", 1.0),
    "energy": ("energy-mj", 1.0),
}
#: Words, unit and direction for github-action-benchmark.
_GITHUB: dict[Measure, tuple[str, str, Direction]] = {
    "latency": ("latency", "ms", "smaller"),
    "p95": ("p95 latency", "ms", "smaller"),
    "p99": ("p99 latency", "ms", "smaller"),
    "fps": ("throughput", "images/s", "bigger"),
    "energy": ("energy", "mJ", "smaller"),
}


def render_bencher(report: GateReport) -> str:
    """A benchmark for each network in each setting on each device; none where nothing was measured."""
    benchmarks: dict[str, dict[str, Metric]] = {}
    for path, each in _all(report):
        measure, scale = _BENCHER[each.measure]
        benchmarks.setdefault(path, {})[measure] = metric(each.value, each.interval, scale=scale)
    return json.dumps(benchmarks, indent=1, ensure_ascii=False) + "\n"


def render_github_action_benchmark(report: GateReport, wanted: Direction) -> str:
    """The figures of which smaller, or bigger, is better."""
    entries = []
    for path, each in _all(report):
        words, unit, direction = _GITHUB[each.measure]
        if direction == wanted:
            entries.append({"name": f"{path}: {words}", **figure(unit, each.value, each.interval)})
    return json.dumps(entries, indent=1, ensure_ascii=False) + "\n"


def _all(report: GateReport) -> Iterator[tuple[str, Observed]]:
    """Every figure with a name that stays from commit to commit."""
    for device in report.devices:
        for each in device.observed:
            setting = each.setting
            words = [device.device, each.network, setting.backend, setting.precision, f"batch-{setting.batch_size}"]
            if setting.power_mode is not None:
                words.append(f"power-mode-{setting.power_mode}")
            yield "/".join(words), each
