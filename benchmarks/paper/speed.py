"""Images per second of the networks of a group, side by side on one agent."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gdws import pipeline
from gdws.bundles.variant import BASELINE, Variant
from gdws.datasets import Split
from gdws.device.client import DeviceClient
from gdws.pipeline import Source
from gdws_contract.rest import BenchmarkRequest, Cell, DeviceInfo, Protocol


def speeds(
    device: DeviceClient,
    source: Source,
    variants: Mapping[str, Variant],
    images: Split,
    *,
    backends: Sequence[str] | None,
    protocol: Protocol,
) -> dict[str, list[dict[str, Any]]]:
    """What was measured of each of ``variants`` at batch 1, one entry for each backend; ``fps`` None with a reason.

    All are measured side by side. Speed-ups are those over the first.
    """
    keys = {BASELINE if number == 0 else re.sub(r"[^\w.-]", "-", key): key for number, key in enumerate(variants)}
    named = [replace(variants[key], name=name) for name, key in keys.items()]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.gdws"
        bundle_id = pipeline.pack(path, source, named, images.first(16), "verification", None)
        request = BenchmarkRequest(
            model_id=bundle_id, backends=None if backends is None else list(backends), protocol=protocol
        )
        result = pipeline.benchmark(device, path, request)
    found: dict[str, list[dict[str, Any]]] = {key: [] for key in variants}
    for cell in result.job.cells:
        entry = {"device": _name(result.device), "backend": cell.key.backend, "precision": cell.key.precision}
        found[keys[cell.key.variant]].append({**entry, **_figures(cell)})
    return found


def _name(device: DeviceInfo) -> str:
    return device.board or device.cpu_model or device.hostname


def _figures(cell: Cell) -> dict[str, Any]:
    reason = None if cell.error is None else cell.error.detail or cell.error.title
    return {
        "fps": cell.fps,
        "speedup": None if cell.speedup is None else cell.speedup.model_dump(),
        "simulated": cell.simulated,
        "reason": reason,
    }
