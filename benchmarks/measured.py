"""What the benchmarks of the measuring process share: a bundle, the worker run as the agent runs it, the machine."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import psutil

from gdws import datasets, pipeline
from gdws.evaluation.attacks import AttackSpec
from gdws.pipeline import Recipe
from gdws.planning.budget import MeanRank
from gdws_agent.device_info import read_cpu_model
from gdws_agent.measuring.messages import CellEvent, WorkOrder, parse_event
from gdws_contract.archive import open_bundle
from gdws_contract.findings import intervals
from gdws_contract.rest import Cell, Protocol

NETWORK = "mnist-preact-resnet"
RECIPES = (
    Recipe(MeanRank(1), layout="stacked", weighted=False),
    Recipe(MeanRank(1), weighted=False),
    Recipe(MeanRank(2), weighted=False),
    Recipe(MeanRank(4), weighted=False),
)


def pack_bundle(path: Path) -> None:
    """Pack the network that ships with the package, dense and as GDWS networks of four speeds."""
    source = pipeline.load(NETWORK)
    data = datasets.load("mnist-sample")
    variants = pipeline.convert_all(source, RECIPES)
    pipeline.pack(path, source, variants, data.test.first(32), "mnist-sample, test", AttackSpec(eps=0.2, iterations=5))


def make_order(path: Path, *, variants: Sequence[str], protocol: Protocol, batch_size: int = 1) -> WorkOrder:
    """Return the order to measure ``variants`` of the bundle at ``path`` as one group."""
    return WorkOrder(
        job_id="benchmark",
        bundle_path=str(path),
        cache_dir=str(path.parent / "cache"),
        backend="onnxruntime",
        precision="fp32",
        batch_size=batch_size,
        variants=list(variants),
        protocol=protocol,
    )


def variants_of(path: Path) -> list[str]:
    """Return the names of the bundle's variants."""
    with open_bundle(path) as bundle:
        return [variant.name for variant in bundle.manifest.variants]


def run_worker(order: WorkOrder, prelude: str = "") -> dict[str, Cell]:
    """Run ``order`` in a process as the agent does, after the Python of ``prelude``; return {variant: cell}.

    Raises:
        RuntimeError: a cell was not measured.
    """
    reader, writer = os.pipe()
    code = f"{prelude}\nimport sys\nfrom gdws_agent.measuring.worker import main\nsys.exit(main(sys.argv[1:]))"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "--events-fd", str(writer)], stdin=subprocess.PIPE, pass_fds=(writer,)
    )
    os.close(writer)
    assert process.stdin is not None
    with process, process.stdin, os.fdopen(reader, "rb") as lines:
        process.stdin.write(order.model_dump_json().encode() + b"\n")
        process.stdin.flush()
        events = [parse_event(line) for line in lines]
    cells = {event.cell.key.variant: event.cell for event in events if isinstance(event, CellEvent)}
    return require_measured(order, cells)


def require_measured(order: WorkOrder, cells: Mapping[str, Cell]) -> dict[str, Cell]:
    """Return ``cells``; raises RuntimeError unless every one of the order was measured."""
    for variant in order.variants:
        if variant not in cells or cells[variant].latency is None:
            raise RuntimeError(f"{variant} was not measured: {cells.get(variant)}")
    return dict(cells)


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    """Return the median of ours / theirs, pair by pair, with its 95 % interval from order statistics (sign test).

    It holds on a busy machine too, where single windows can be far off in either direction. Raises ValueError for fewer
    than six pairs.
    """
    found = intervals.median_ratio(ours, theirs)
    if found is None or found.level < intervals.CONFIDENCE:
        raise ValueError(f"{len(ours)} pairs give no 95 % interval; at least 6 do")
    return {"ratio": found.value, "low": found.low, "high": found.high}


def in_words(found: Mapping[str, float]) -> str:
    """Return a ratio with its interval."""
    return f"**{found['ratio']:.3f}** ({found['low']:.3f} to {found['high']:.3f})"


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    import onnxruntime

    return {
        "cpu": read_cpu_model(Path("/")),
        "logical_cores": psutil.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "onnxruntime": onnxruntime.__version__,
        "load_average_before": round(os.getloadavg()[0], 1),
        "date": datetime.now(timezone.utc).date().isoformat(),
    }


def write_results(folder: Path, results: Mapping[str, Any], table: str, *, name: str = "results") -> None:
    """Write ``<name>.json`` and ``<name>.md`` into ``folder``, and print the latter."""
    (folder / f"{name}.json").write_text(json.dumps(results, indent=2) + "\n")
    (folder / f"{name}.md").write_text(table)
    print(table, flush=True)
