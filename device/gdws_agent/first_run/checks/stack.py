"""Hardware and software of this machine: versions, GPU, accelerators, and how the host waits for the GPU."""

from __future__ import annotations

import json
import platform
from importlib import metadata
from typing import Any, Dict, List, Optional, Tuple

import psutil

from gdws_agent.device_info import read_os_name
from gdws_agent.first_run.bench import Bench
from gdws_agent.first_run.report import CheckFailed, Figure, Outcome, Table, Value
from gdws_agent.first_run.tools.program import run_program

_PACKAGES = (
    "tensorrt",
    "pycuda",
    "numpy",
    "torch",
    "torch2trt",
    "onnxruntime",
    "onnxruntime-gpu",
    "jetson-stats",
    "pydantic",
    "fastapi",
)
#: How the names end of what has a unit in :mod:`gdws_agent.first_run.tools.cuda`.
_UNITS = {"_mhz": "MHz", "_mib": "MiB"}


def check_stack(bench: Bench) -> Outcome:
    """Read versions and the GPU; on a Jetson each of GPU, TensorRT and L4T must be there."""
    facts = _gpu_facts(bench)
    problems: List[str] = facts.pop("problems", [])
    versions = {name: _version(name) for name in _PACKAGES}
    if facts.get("tensorrt"):
        versions["tensorrt"] = facts["tensorrt"]
    bench.versions.update(version for version in versions.values() if version)
    outcome: Dict[str, Any] = {
        "figures": [*_machine(bench), *map(_figure, facts.items())],
        "tables": [Table(title="Packages", columns=["package", "version"], rows=_rows(versions))],
    }
    if not bench.on_jetson:
        return Outcome(status="ok", summary=f"not a Jetson: {platform.machine()}, {_best(bench)}", **outcome)
    if problems:
        raise CheckFailed(
            "; ".join(problems),
            "start the container with `runtime: nvidia`, on a base image of this board's JetPack (docs/jetson.md)",
            **outcome,
        )
    if bench.l4t is None:
        return Outcome(
            status="warning",
            summary="a Jetson whose release of Linux for Tegra is not known here",
            advice=["mount /etc/nv_tegra_release of the host, read-only, as docker-compose.yml does"],
            **outcome,
        )
    gpu = f"{facts['gpu']} with {facts['multiprocessors']} multiprocessors"
    summary = f"{bench.board or 'a Jetson'}, L4T {bench.l4t}, {gpu}, TensorRT {facts['tensorrt']}"
    return Outcome(status="ok", summary=summary, **outcome)


def _figure(fact: Tuple[str, Value]) -> Figure:
    """Return one fact of the GPU under a name that ends without its unit."""
    name, value = fact
    unit = next((unit for ending, unit in _UNITS.items() if name.endswith(ending)), None)
    ending = 0 if unit is None else len(unit) + 1
    return Figure(name=name[: len(name) - ending].replace("_", " "), value=value, unit=unit)


def _machine(bench: Bench) -> List[Figure]:
    return [
        Figure(name="board", value=bench.board),
        Figure(name="l4t", value=bench.l4t),
        Figure(name="os", value=read_os_name(bench.root)),
        Figure(name="kernel", value=platform.release()),
        Figure(name="machine", value=platform.machine()),
        Figure(name="python", value=platform.python_version()),
        Figure(name="cores of the CPU", value=psutil.cpu_count(logical=False)),
        Figure(name="memory", value=psutil.virtual_memory().total // 2**20, unit="MiB"),
    ]


def _gpu_facts(bench: Bench) -> Dict[str, Any]:
    """Return the answer of the process that queries the GPU: its last line, for SDKs print above it."""
    finished = run_program(bench.cuda_command, bench.deadline)
    try:
        return dict(json.loads(finished.output.splitlines()[-1]))
    except (ValueError, IndexError, TypeError):
        return {"problems": [f"the process that asks CUDA exited with status {finished.status}"]}


def _version(package: str) -> Optional[str]:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _rows(versions: Dict[str, Optional[str]]) -> List[List[Value]]:
    return [[name, version or "not installed"] for name, version in versions.items()]


def _best(bench: Bench) -> str:
    best = next((each for each in bench.probes.backends() if each.available), None)
    return "no backend" if best is None else f"{best.name} {best.version or ''}".strip()
