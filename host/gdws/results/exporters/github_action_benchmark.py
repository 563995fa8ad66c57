"""JSON for github-action-benchmark, tools ``customSmallerIsBetter`` and ``customBiggerIsBetter``.

An array of ``{"name", "unit", "value"}``, each with ``range`` and ``extra`` as text where there is something to say
(github.com/benchmark-action/github-action-benchmark, README). One file holds figures of one direction.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from gdws.errors import ResultError
from gdws.results.exporters.figures import measured_cells, path_of, typical_latency
from gdws_contract.findings.intervals import IntervalEstimate
from gdws_contract.measures import Interval
from gdws_contract.rest import BenchmarkResult, Cell

#: Which figures: those of which less is better, for customSmallerIsBetter, or those of which more is.
Direction = Literal["smaller", "bigger"]


def render_github_action_benchmark(result: BenchmarkResult, direction: Direction) -> str:
    """Latency and energy, or images per second and the accuracies on the device, of every cell.

    Raises :class:`ResultError` if no cell was timed or attacked.
    """
    figures = _smaller if direction == "smaller" else _bigger
    entries = [
        {"name": f"{path_of(result, cell)}: {name}", "extra": _extra(result, cell), **fields}
        for cell in measured_cells(result)
        for name, fields in figures(cell).items()
    ]
    if not entries:
        better = "bigger" if direction == "smaller" else "smaller"
        raise ResultError(f"the result has no figures of which {direction} is better", hint=f"take those of {better}")
    return json.dumps(entries, indent=1, ensure_ascii=False) + "\n"


def _smaller(cell: Cell) -> dict[str, dict[str, Any]]:
    if cell.latency is None:
        return {}
    latency = typical_latency(cell)
    found = {"latency": figure("ms", latency.value if latency else cell.latency.median_ms, latency)}
    if cell.latency.p99_ms is not None:
        found["p99 latency"] = figure("ms", cell.latency.p99_ms)
    if cell.power is not None and cell.power.energy_per_inference_mj is not None:
        found["energy"] = figure("mJ", cell.power.energy_per_inference_mj, cell.power.energy_interval)
    return found


def _bigger(cell: Cell) -> dict[str, dict[str, Any]]:
    found = {}
    if cell.fps is not None:
        found["throughput"] = figure("images/s", cell.fps)
    if cell.parity is not None:
        for name, accuracy in (("natural", cell.parity.natural), ("robust", cell.parity.robust)):
            if accuracy is not None:
                found[f"{name} accuracy"] = figure("percent", 100 * accuracy.value)
    if cell.attack is not None:
        found["robust accuracy under Square Attack"] = figure("percent", 100 * cell.attack.robust.value)
    return found


def figure(unit: str, value: float, interval: IntervalEstimate | Interval | None = None) -> dict[str, Any]:
    """The fields of an entry but for its name, with a range where there is an interval."""
    spread = {} if interval is None else {"range": f"{interval.low:.4g} to {interval.high:.4g}"}
    return {"unit": unit, "value": value, **spread}


def _extra(result: BenchmarkResult, cell: Cell) -> str:
    """The text that the chart shows beside a point."""
    lines = [f"device: {result.device.board or result.device.hostname}", f"job: {result.job.id}"]
    if cell.flags:
        lines.append(f"flags: {', '.join(sorted({flag.code for flag in cell.flags}))}")
    if cell.simulated or result.device.simulated:
        lines.append("simulated device")
    return "\n".join(lines)
