"""What CI shows of a gate: files in one folder, the summary of a GitHub step, and annotations."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import TypeAdapter

from gdws.files import write_atomic
from gdws.gate.outputs.badge import badge_endpoint, badge_svg
from gdws.gate.outputs.exports import render_bencher, render_github_action_benchmark
from gdws.gate.outputs.junit import render_junit
from gdws.gate.outputs.page import render_page
from gdws.gate.outputs.summary import render_summary
from gdws.gate.reports import GateReport

#: History of gate.json: 1, first version. Fields may be added within a version.
SCHEMA_VERSION = 1


def write_outputs(report: GateReport, folder: Path) -> list[Path]:
    """Write every form of ``report`` to ``folder`` and return the files. Raises OSError."""
    contents = {
        "gate.json": render_json(report),
        "gate.html": render_page(report),
        "summary.md": render_summary(report),
        "junit.xml": render_junit(report),
        "badge.json": badge_endpoint(report),
        "badge.svg": badge_svg(report),
        "bencher.json": render_bencher(report),
        "benchmark-smaller.json": render_github_action_benchmark(report, "smaller"),
        "benchmark-bigger.json": render_github_action_benchmark(report, "bigger"),
    }
    for name, content in contents.items():
        write_atomic(folder / name, content.encode())
    return [folder / name for name in contents]


def render_json(report: GateReport) -> str:
    """Everything, for programs. Unknown is null."""
    fields = TypeAdapter(GateReport).dump_python(report, mode="json")
    document = {"schema_version": SCHEMA_VERSION, "outcome": report.outcome, "exit_code": report.exit_code, **fields}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"
