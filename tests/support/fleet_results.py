"""Results of a fleet made by hand, for tests of reports over devices. No figure in them was measured."""

from __future__ import annotations

from collections.abc import Sequence

from gdws.results.report.fleet import FleetMeasurement
from gdws_contract.measures import RoundSummary
from gdws_contract.rest import Cell
from support.benchmark_results import CUT, DENSE, KEPT, Net, jetson_result

#: How far the rounds of a cell are from its median.
ROUNDS = (0.998, 1.001, 1.002, 0.999, 1.0, 1.001, 0.999, 1.002, 0.998, 1.0)


def scaled(cell: Cell, factor: float, *, noise: float = 1.0, **changes: object) -> Cell:
    """``cell`` with its times ``factor`` times as long, and rounds that vary ``noise`` times as much as usual."""
    assert cell.latency is not None
    assert cell.fps is not None
    times = ("min_ms", "mean_ms", "median_ms", "max_ms")
    latency = cell.latency.model_copy(update={name: factor * getattr(cell.latency, name) for name in times})
    rounds = [
        RoundSummary(index=index, count=50, median_ms=latency.median_ms * each**noise, duration_s=0.3)
        for index, each in enumerate(ROUNDS)
    ]
    return cell.model_copy(update={"latency": latency, "rounds": rounds, "fps": cell.fps / factor, **changes})


def board(
    name: str,
    factor: float = 1.0,
    *,
    model: str = "Jetson Orin Nano",
    l4t: str = "36.4.0",
    mode: str = "MAXN",
    nets: Sequence[Net] = (DENSE, KEPT, CUT),
    noise: float = 1.0,
    environment: dict[str, object] | None = None,
) -> FleetMeasurement:
    """A result of one board that is ``factor`` times as slow as it should be."""
    result = jetson_result(list(nets))
    cells = [
        scaled(cell, factor, noise=noise, power_mode=mode, environment={**cell.environment, **(environment or {})})
        for cell in result.job.cells
    ]
    device = result.device.model_copy(
        update={"hostname": name, "board": model, "l4t": l4t, "cpu_model": None, "machine": "aarch64"}
    )
    job = result.job.model_copy(update={"cells": cells})
    return FleetMeasurement(name, ("lab",), result.model_copy(update={"device": device, "job": job}))


def with_cell(measured: FleetMeasurement, variant: str, cell: Cell) -> FleetMeasurement:
    """``measured`` with ``cell`` in place of that of ``variant``, whose key it gets."""
    cells = [
        cell.model_copy(update={"key": each.key}) if each.key.variant == variant else each
        for each in measured.result.job.cells
    ]
    job = measured.result.job.model_copy(update={"cells": cells})
    return FleetMeasurement(measured.device, measured.tags, measured.result.model_copy(update={"job": job}))
