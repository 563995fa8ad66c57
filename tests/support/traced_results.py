"""A result with all that a trace shows: time series, layers, and a cell that failed. No figure in it was measured."""

from __future__ import annotations

from typing import Any

from gdws_contract.rest import BenchmarkResult, Cell
from gdws_contract.series import Curve, Series, Span
from support.benchmark_results import DENSE, KEPT, cell, failed_cell, profiled_cell, result

TIMES = {"started_at": "2026-11-30T06:00:00Z", "finished_at": "2026-11-30T06:00:10Z"}
ORIGIN_S = 1796018402.5  # 2.5 s after the start
SERIES = Series(
    origin_unix_s=ORIGIN_S,
    spans=[
        Span(name="round", start_s=0.0, duration_s=1.5, round=0, count=700, median_ms=2.1),
        Span(name="paced", start_s=2.0, duration_s=1.0, count=30),
    ],
    curves=[
        Curve(kind="power", name="total", unit="W", readings=9, times_s=[0.1, 0.2], values=[10.5, 11.25]),
        Curve(kind="temperature", name="CPU", unit="°C", readings=1, times_s=[0.0], values=[41.0]),
        Curve(kind="clock", name="GPU", unit="MHz", readings=1, times_s=[1.6], values=[918.0]),
        Curve(kind="latency", name="latency", unit="ms", readings=2, times_s=[0.0, 0.1], values=[2.0, 2.2]),
    ],
)


def timed(made: Cell, **fields: Any) -> Cell:
    """``made`` with the moments of :data:`TIMES`."""
    return made.model_copy(update={**TIMES, **fields})


def traced_result() -> BenchmarkResult:
    """A cell with readings over time, one whose layers were timed, and one that failed."""
    cells = [
        timed(cell(DENSE, DENSE, 1), series=SERIES),
        timed(uneven(profiled_cell(KEPT))),
        timed(failed_cell(KEPT, 8, "no")),
    ]
    return result(nets=[DENSE, KEPT], cells=cells)


def uneven(made: Cell) -> Cell:
    """A profiled cell whose layers take parts of a nanosecond."""
    assert made.profile is not None
    layers = [
        layer.model_copy(update={"mean_ms": (number + 1) / 7_777})
        for number, layer in enumerate(made.profile.layers * 20)
    ]
    total = sum(layer.mean_ms for layer in layers)
    return made.model_copy(update={"profile": made.profile.model_copy(update={"layers": layers, "total_ms": total})})
