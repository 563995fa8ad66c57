"""How soon an agent is ready, and how much memory it takes at rest.

    python -m benchmarks.agent_at_rest [--starts 9] [--interpreter PYTHON[=PYTHONPATH] ...]

Starts the real process on a new data folder, again and again. Ready is the moment at which ``GET /healthz`` is
answered, counted from the start of the process. At rest is after one ``GET /device`` and one ``GET /openapi.json``,
so that what is loaded on first use counts. Writes ``results.json`` and ``results.md`` beside this file.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import psutil

HERE = Path(__file__).resolve().parent

READY_LIMIT_S = 2.0
MEMORY_LIMIT_MB = 90.0
DEVICE = HERE.parent.parent / "device"


class Start(NamedTuple):
    """One start of the agent."""

    ready_s: float
    cpu_s: float
    resident_mb: float
    private_mb: float
    threads: int


def measure_start(interpreter: str) -> Start:
    """Start an agent, see it serve, and stop it."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        process = subprocess.Popen(
            [interpreter, "-m", "gdws_agent", "--port", "0", "--data-dir", folder, "--announce"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(DEVICE)},
        )
        try:
            assert process.stdout is not None
            address = urlsplit(json.loads(process.stdout.readline())["url"])
            connection = http.client.HTTPConnection(address.hostname or "", address.port)
            get(connection, "/healthz")
            ready_s = time.perf_counter() - began
            times = psutil.Process(process.pid).cpu_times()
            for path in ("/device", "/openapi.json", "/healthz"):
                get(connection, path)
            found = psutil.Process(process.pid)
            memory = found.memory_full_info()
            return Start(ready_s, times.user + times.system, memory.rss / 1e6, memory.uss / 1e6, found.num_threads())
        finally:
            process.terminate()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


def get(connection: http.client.HTTPConnection, path: str) -> None:
    """Ask for ``path``; raises RuntimeError when the agent does not answer well."""
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    if answer.status != 200:
        raise RuntimeError(f"GET {path} answered {answer.status}")


def measure(interpreter: str, starts: int) -> dict[str, Any]:
    """Return the medians over ``starts`` starts, after one that warms the file cache."""
    measure_start(interpreter)
    found = [measure_start(interpreter) for _ in range(starts)]
    return {
        "python": version_of(interpreter, "platform.python_version()"),
        "fastapi": version_of(interpreter, "__import__('fastapi').__version__"),
        "pydantic": version_of(interpreter, "__import__('pydantic').VERSION"),
        "starts": starts,
        "ready_s": spread([start.ready_s for start in found]),
        "cpu_s": spread([start.cpu_s for start in found]),
        "resident_mb": spread([start.resident_mb for start in found]),
        "private_mb": spread([start.private_mb for start in found]),
        "threads": max(start.threads for start in found),
    }


def spread(values: list[float]) -> dict[str, float]:
    """Return minimum, median and maximum."""
    return {"min": round(min(values), 3), "median": round(statistics.median(values), 3), "max": round(max(values), 3)}


def version_of(interpreter: str, expression: str) -> str:
    """Return what ``expression`` is in ``interpreter``."""
    command = [interpreter, "-c", f"import platform; print({expression})"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), None)
    return {
        "cpu": cpu,
        "logical_cores": psutil.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "kernel": platform.release(),
        "load_average_1min": round(os.getloadavg()[0], 1),
        "niceness": os.nice(0),
        "date": datetime.now(timezone.utc).date().isoformat(),
    }


def table(results: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """Return the results as Markdown."""
    spreads = ("ready_s", "cpu_s", "resident_mb", "private_mb")
    lines = []
    for row in rows:
        columns = [row["python"], row["fastapi"], row["pydantic"], row["starts"]]
        columns += [figures(row[name]) for name in spreads] + [row["threads"]]
        lines.append("| " + " | ".join(str(column) for column in columns) + " |")
    return "\n".join(
        [
            "# The agent at rest",
            "",
            "Time from the start of the process to the first answer of `GET /healthz`, and memory after `GET /device`",
            f"and `GET /openapi.json`. Limits: {READY_LIMIT_S:g} s, {MEMORY_LIMIT_MB:g} MB resident. "
            "Median (minimum to maximum).",
            "",
            f"Machine: `{json.dumps(results['machine'])}`",
            *doubts(results["machine"]),
            "",
            "| Python | FastAPI | pydantic | starts "
            "| ready (s) | processor time to ready (s) | resident (MB) | private (MB) | threads |",
            "|---|---|---|---|---|---|---|---|---|",
            *lines,
            "",
        ]
    )


def doubts(found: dict[str, Any]) -> list[str]:
    """Return what the reader must know before believing the times."""
    load, cores = found["load_average_1min"], found["logical_cores"]
    if load < cores / 2:
        return []
    return ["", f"**The machine was busy (load {load} on {cores} cores): the times until ready are upper bounds.**"]


def figures(values: object) -> str:
    """Return a spread in words."""
    assert isinstance(values, dict)
    return f"**{values['median']:.2f}** ({values['min']:.2f} to {values['max']:.2f})"


def main() -> int:
    """Measure, write the results, and return 1 when a limit is passed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=9)
    parser.add_argument("--interpreter", action="append", metavar="PYTHON")
    options = parser.parse_args()
    rows = [measure(interpreter, options.starts) for interpreter in options.interpreter or [sys.executable]]
    results = {
        "what": "readiness and memory of gdws-agent at rest",
        "machine": machine(),
        "limits": {"ready_s": READY_LIMIT_S, "resident_mb": MEMORY_LIMIT_MB},
        "figures": rows,
    }
    (HERE / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    (HERE / "results.md").write_text(table(results, rows))
    print((HERE / "results.md").read_text())
    within = all(
        row["ready_s"]["median"] < READY_LIMIT_S and row["resident_mb"]["median"] < MEMORY_LIMIT_MB for row in rows
    )
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
