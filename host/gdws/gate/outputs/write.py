"""Writes the outputs of a gate for CI: files in one folder, the summary of a GitHub step, and annotations.

An output that cannot be written is a warning and does not affect the verdict.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic import TypeAdapter

from gdws._util.files import write_atomic
from gdws.errors import first_line
from gdws.gate.outputs.badge import badge_endpoint, badge_svg
from gdws.gate.outputs.exports import render_bencher, render_github_action_benchmark
from gdws.gate.outputs.junit import render_junit
from gdws.gate.outputs.page import render_page
from gdws.gate.outputs.summary import render_summary
from gdws.gate.reports import GateReport

#: History of gate.json: 1, first version. Fields may be added within a version.
SCHEMA_VERSION = 1


def remove_outputs(folder: Path) -> list[str]:
    """Remove the outputs of an earlier gate, which could be mistaken for those of an aborted one; returns warnings."""
    warnings: list[str] = []
    for name in _renderers():
        with _warned(folder / name, warnings, "removed"):
            (folder / name).unlink(missing_ok=True)
    return warnings


def write_outputs(report: GateReport, folder: Path) -> list[str]:
    """Write ``report`` to ``folder`` in every format; returns warnings for those that could not be written."""
    warnings: list[str] = []
    for name, render in _renderers().items():
        with _warned(folder / name, warnings, "written"):
            write_atomic(folder / name, render(report).encode())
    return warnings


def append_summary(report: GateReport, path: Path) -> list[str]:
    """Append the summary to ``path``, which GitHub names in ``GITHUB_STEP_SUMMARY``; returns warnings."""
    warnings: list[str] = []
    with _warned(path, warnings, "written"), path.open("a", encoding="utf-8") as file:
        file.write(render_summary(report))
    return warnings


def _renderers() -> dict[str, Callable[[GateReport], str]]:
    return {
        "gate.json": render_json,
        "gate.html": render_page,
        "summary.md": render_summary,
        "junit.xml": render_junit,
        "badge.json": badge_endpoint,
        "badge.svg": badge_svg,
        "bencher.json": render_bencher,
        "benchmark-smaller.json": lambda report: render_github_action_benchmark(report, "smaller"),
        "benchmark-bigger.json": lambda report: render_github_action_benchmark(report, "bigger"),
    }


@contextlib.contextmanager
def _warned(path: Path, warnings: list[str], done: str) -> Iterator[None]:
    """Turn any error within into a warning: even a bug in a report must not lose the verdict."""
    try:
        yield
    except Exception as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else first_line(error)
        warnings.append(f"{path} could not be {done}: {reason}")


def render_json(report: GateReport) -> str:
    """Everything, for programs. Unknown is null."""
    fields = TypeAdapter(GateReport).dump_python(report, mode="json")
    document = {"schema_version": SCHEMA_VERSION, "outcome": report.outcome, "exit_code": report.exit_code, **fields}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"
