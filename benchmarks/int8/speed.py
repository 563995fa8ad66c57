"""All forms of a network in turns on a local agent, by batch size and number of threads."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from benchmarks.int8.forms import Forms
from gdws.bundles.variant import BASELINE
from gdws.device.benchmark import benchmark
from gdws.device.client import DeviceClient
from gdws.device.local_agent import local_agent
from gdws_contract.archive import open_bundle
from gdws_contract.rest import BenchmarkRequest, Protocol

DENSE_INT8 = f"{BASELINE}-int8"
_Z = 1.96


def measure(forms: Forms, threads: int, batch_sizes: list[int], min_duration_s: float, folder: Path) -> dict[str, Any]:
    """For each batch size and network the median latency, and the speed-ups over dense and dense INT8.

    ``refused`` has the reason where an engine was not timed.
    """
    path = forms.timing_bundle()
    with open_bundle(path) as bundle:
        model_id = bundle.id
    request = BenchmarkRequest(
        model_id=model_id,
        backends=["onnxruntime"],
        batch_sizes=batch_sizes,
        protocol=Protocol(threads=threads, min_duration_ms=1e3 * min_duration_s),
    )
    with local_agent(folder / "agent") as url, DeviceClient(url) as device:
        result = benchmark(device, path, request)
    found: dict[str, Any] = {str(batch_size): {} for batch_size in batch_sizes}
    for cell in result.job.cells:
        row: dict[str, Any] = {}
        if cell.latency is None:
            row["refused"] = str(cell.error.detail if cell.error is not None else cell.parity)
        else:
            row["median_ms"] = cell.latency.median_ms
        if cell.speedup is not None and cell.speedup.interval is not None:
            interval = cell.speedup.interval
            row["over_dense"] = {"ratio": cell.speedup.ratio, "low": interval.low, "high": interval.high}
        found[str(cell.key.batch_size)][cell.key.variant] = row
    for rows in found.values():
        rival = rows.get(DENSE_INT8, {}).get("over_dense")
        for name, row in rows.items():
            if rival is not None and "over_dense" in row and name != DENSE_INT8:
                row["over_dense_int8"] = _divided(row["over_dense"], rival)
    return found


def _divided(one: dict[str, float], other: dict[str, float]) -> dict[str, float]:
    """The ratio of two speed-ups over the same, its interval by the sum of the variances of their logarithms.

    Both are measured in turns with the same network, whose part in the variance is counted twice: the interval is wide.
    """
    ratio = one["ratio"] / other["ratio"]
    sd = math.hypot(*(math.log(each["high"] / each["low"]) / (2 * _Z) for each in (one, other)))
    return {"ratio": ratio, "low": ratio * math.exp(-_Z * sd), "high": ratio * math.exp(_Z * sd)}
