"""Check whether a network got slower, less accurate or less robust on a device: PASS, FAIL or INCONCLUSIVE.

Baseline and candidate are measured in turns, run after run, until the result is clear; networks of the same name
are compared. A FAIL is confirmed by further runs. The device is leased meanwhile.
See docs/ci.md.

\b
Exit codes:
  0  PASS
  1  FAIL
  2  INCONCLUSIVE, or bad input
  3  the device or its agent could not serve
  70 an unexpected error; no verdict

\b
Examples:
  gdws gate model.gdws --device http://jetson.local:8000 --baseline main.gdws --max-slowdown 3
  gdws gate model.gdws --device http://jetson.local:8000 --min-fps 200 --max-p99 8 --min-robust 90
  gdws gate model.gdws --device tag:jetson --baseline gdws-baseline.json --config gdws-gate.toml
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gdws.cli.options import common as options
from gdws.cli.options.gate import DevicesOptions, LimitOptions, RunOptions, measuring, say_on_stderr
from gdws.cli.views.output import errors, print_line

if TYPE_CHECKING:
    from gdws.gate.launch import Ended


def gate(
    bundle: options.Bundle,
    devices: DevicesOptions,
    runs: RunOptions,
    limits: LimitOptions,
    baseline: Annotated[
        Path | None,
        typer.Option(
            "--baseline", metavar="FILE", help="A bundle to measure against, or a file written by gdws baseline."
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="Folder for reports and results.")] = Path(
        "gdws-gate"
    ),
    noise: Annotated[
        Path | None,
        typer.Option(
            "--noise", metavar="FILE", help="The device's noise. Default: as stored by gdws noise for that device."
        ),
    ] = None,
    max_runs: Annotated[int | None, measuring("--max-runs", "N", "Maximum number of runs before INCONCLUSIVE.")] = None,
    budget: Annotated[float | None, measuring("--budget", "SECONDS", "No run is started after this time.")] = None,
    allow_missing: Annotated[
        str | None,
        measuring("--allow-missing", "NAME,...", "Networks of the baseline that the bundle need not have."),
    ] = None,
    quiet: options.Quiet = False,
) -> None:
    """Check whether a network got slower, less accurate or less robust on a device."""
    from gdws.gate.launch import run_gate

    how_long = {"max_runs": max_runs, "budget_s": budget, "allow_missing": options.words(allow_missing)}
    settings = runs.settings(limits.limits(), how_long)
    with devices.agents() as agents:
        ended = run_gate(
            bundle,
            agents,
            settings,
            baseline=baseline,
            folder=out,
            noise=noise,
            access=devices.access(),
            say=say_on_stderr(quiet),
        )
    _show(ended, out)
    if ended.interrupt is not None:
        raise ended.interrupt
    raise typer.Exit(ended.report.exit_code)


def _show(ended: Ended, folder: Path) -> None:
    """Print the verdicts, and write what CI does not read from files."""
    from gdws.gate.outputs import append_summary
    from gdws.gate.outputs.annotations import workflow_commands

    report, warnings = ended.report, list(ended.warnings)
    for found in report.devices:
        for verdict in found.verdicts:
            print_line(verdict.sentence)
        for note in found.notes:
            errors().print(f"{found.device}: {note}", markup=False)
        if found.error is not None:
            errors().print(f"{found.device}: {found.error}", markup=False)
    print_line(report.word)
    errors().print(f"wrote {folder}", markup=False)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        for line in workflow_commands(report):
            typer.echo(line)
    step_summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if step_summary:
        warnings += append_summary(report, Path(step_summary))
    for warning in warnings:
        errors().print(f"warning: {warning}", markup=False)
