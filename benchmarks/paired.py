"""Several ways to do one thing, timed in turns, for each number of threads.

Each number of threads has a process of its own, as numpy and torch read it when they start. Within a process the
ways take turns, and each round begins with another one, so all meet the same state of the machine.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def compare(ways: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Any]:
    """Return the time of each way in seconds, and by how much the first is faster than each other.

    Both are medians over ``rounds`` rounds; one round before them is not counted. ``ratios`` has the ratios
    round by round.
    """
    names = list(ways)
    times: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds + 1):
        start = number % len(names)
        for name in names[start:] + names[:start]:
            times[name].append(_seconds(ways[name]))
    ours, *others = names
    ratios = {
        other: [slow / fast for slow, fast in zip(times[other][1:], times[ours][1:], strict=True)] for other in others
    }
    return {
        "seconds": {name: statistics.median(values[1:]) for name, values in times.items()},
        "ratio": {name: statistics.median(values) for name, values in ratios.items()},
        "ratios": {name: [round(value, 3) for value in values] for name, values in ratios.items()},
    }


def for_each_thread_count(module: str, threads: Sequence[int], arguments: Sequence[str]) -> list[dict[str, Any]]:
    """Run ``module --once`` with each number of threads; return what it prints as JSON, with ``threads`` added."""
    figures = []
    for count in threads:
        environment = {**os.environ, "OMP_NUM_THREADS": str(count), "OPENBLAS_NUM_THREADS": str(count)}
        command = [sys.executable, "-m", module, "--once", *arguments]
        run = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        figures.append({"threads": count, **json.loads(run.stdout)})
    return figures


def rows(figures: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a Markdown table: for each number of threads and each way the time, and the ratio with its range."""
    lines = ["| threads | way | seconds | times slower |", "|---|---|---|---|"]
    for figure in figures:
        for name, seconds in figure["seconds"].items():
            ratio = "1"
            if name in figure["ratio"]:
                spread = figure["ratios"][name]
                ratio = f"**{figure['ratio'][name]:.1f}** ({min(spread):.1f} to {max(spread):.1f})"
            lines.append(f"| {figure['threads']} | {name} | {seconds:.4f} | {ratio} |")
    return lines


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
