"""Results in the formats of tools that keep the history of benchmarks."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from gdws._util.files import write_atomic
from gdws.results.exporters.bencher import render_bencher
from gdws.results.exporters.github_action_benchmark import Direction, render_github_action_benchmark
from gdws.results.exporters.perfetto import render_perfetto
from gdws.results.report import render
from gdws_contract.rest import BenchmarkResult

__all__ = ["Direction", "Format", "export"]

Format = Literal["csv", "github-action-benchmark", "bencher", "perfetto"]


def export(result: BenchmarkResult, path: Path, form: Format, *, direction: Direction = "smaller") -> None:
    """Write ``result`` to ``path``; ``direction`` chooses the figures for github-action-benchmark.

    Raises :class:`ResultError` where the format has nothing to say, and OSError if the file cannot be written.
    """
    if form == "csv":
        content = render([result], ".csv")
    elif form == "bencher":
        content = render_bencher(result)
    elif form == "perfetto":
        content = render_perfetto(result)
    else:
        content = render_github_action_benchmark(result, direction)
    write_atomic(path, content.encode())
