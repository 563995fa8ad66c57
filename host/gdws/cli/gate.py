"""``gdws gate``"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gdws.cli.options import common as options
from gdws.cli.options import gate as gated
from gdws.cli.views.output import errors, print_line

if TYPE_CHECKING:
    from gdws.gate.launch import Ended


def gate(
    bundle: options.Bundle,
    device: gated.Devices = "local",
    devices: gated.DevicesFile = None,
    token: options.Token = None,
    baseline: Annotated[
        Path | None,
        typer.Option(
            "--baseline", metavar="FILE", help="A bundle, measured beside the other; or what gdws baseline wrote."
        ),
    ] = None,
    config: gated.Config = None,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="Where reports and results go.")] = Path(
        "gdws-gate"
    ),
    noise: gated.NoiseFile = None,
    wait: gated.Wait = 3_600.0,
    patience: options.Patience = 20.0,
    lease: options.LeaseId = None,
    max_slowdown: Annotated[
        float | None, gated.limit("--max-slowdown", "Latency, percent above the baseline's.")
    ] = None,
    max_p95_slowdown: Annotated[float | None, gated.limit("--max-p95-slowdown", "95th percentile, likewise.")] = None,
    max_p99_slowdown: Annotated[float | None, gated.limit("--max-p99-slowdown", "99th percentile, likewise.")] = None,
    max_energy_increase: Annotated[
        float | None, gated.limit("--max-energy-increase", "Energy of an inference, percent above the baseline's.")
    ] = None,
    max_latency: Annotated[float | None, gated.limit("--max-latency", "Typical latency, ms.")] = None,
    max_p95: Annotated[float | None, gated.limit("--max-p95", "95th percentile of the latency, ms.")] = None,
    max_p99: Annotated[float | None, gated.limit("--max-p99", "99th percentile of the latency, ms.")] = None,
    min_fps: Annotated[float | None, gated.limit("--min-fps", "Images per second.")] = None,
    max_energy: Annotated[float | None, gated.limit("--max-energy", "Energy of an inference, mJ.")] = None,
    max_natural_drop: Annotated[
        float | None, gated.limit("--max-natural-drop", "Natural accuracy on the device, points below the baseline's.")
    ] = None,
    max_robust_drop: Annotated[
        float | None, gated.limit("--max-robust-drop", "Accuracy on adversarial inputs, points below the baseline's.")
    ] = None,
    min_natural: Annotated[
        float | None, gated.limit("--min-natural", "Natural accuracy on the device, percent.")
    ] = None,
    min_robust: Annotated[float | None, gated.limit("--min-robust", "Accuracy on adversarial inputs, percent.")] = None,
    max_size: Annotated[float | None, gated.limit("--max-size", "ONNX file, MiB.")] = None,
    max_size_increase: Annotated[
        float | None, gated.limit("--max-size-increase", "ONNX file, percent above the baseline's.")
    ] = None,
    max_build: Annotated[float | None, gated.limit("--max-build", "Build of the engine, seconds.")] = None,
    quiet: options.Quiet = False,
    variants: gated.Networks = None,
    batch: gated.Batch = None,
    backends: gated.Backends = None,
    precision: gated.Precision = None,
    rounds: gated.Rounds = None,
    min_duration: gated.MinDuration = None,
    min_iterations: gated.MinIterations = None,
    max_runs: Annotated[int | None, gated.measuring("--max-runs", "N", "Runs before it says INCONCLUSIVE.")] = None,
    budget: Annotated[float | None, gated.measuring("--budget", "SECONDS", "No run is begun after this time.")] = None,
    allow_missing: Annotated[
        str | None,
        gated.measuring("--allow-missing", "NAME,...", "Networks of the baseline that the bundle need not have."),
    ] = None,
) -> None:
    """Say whether a network got slower, hungrier, less accurate or less robust on a device: PASS, FAIL or INCONCLUSIVE.

    Baseline and candidate are measured now, taking turns, in run after run until the answer is clear; networks of
    the same name are compared. What looks like a FAIL is confirmed before it is said. The device is held meanwhile.
    See docs/ci.md.

    \b
    Exit codes:
      0  PASS
      1  FAIL
      2  INCONCLUSIVE, or bad input
      3  the device or its agent could not serve
      70 an unforeseen error, which is no verdict

    \b
    Examples:
      gdws gate model.gdws --device http://jetson.local:8000 --baseline main.gdws --max-slowdown 3
      gdws gate model.gdws --device http://jetson.local:8000 --min-fps 200 --max-p99 8 --min-robust 90
      gdws gate model.gdws --device tag:jetson --baseline gdws-baseline.json --config gdws-gate.toml
    """
    from gdws.gate.launch import Line, run_gate
    from gdws.gate.settings import load_settings

    limits = {
        "max_slowdown_percent": max_slowdown,
        "max_p95_slowdown_percent": max_p95_slowdown,
        "max_p99_slowdown_percent": max_p99_slowdown,
        "max_energy_increase_percent": max_energy_increase,
        "max_latency_ms": max_latency,
        "max_p95_ms": max_p95,
        "max_p99_ms": max_p99,
        "min_fps": min_fps,
        "max_energy_mj": max_energy,
        "max_natural_drop_points": max_natural_drop,
        "max_robust_drop_points": max_robust_drop,
        "min_natural_percent": min_natural,
        "min_robust_percent": min_robust,
        "max_size_mib": max_size,
        "max_size_increase_percent": max_size_increase,
        "max_build_s": max_build,
    }
    measured = gated.measurement(variants, batch, backends, precision, rounds, min_duration, min_iterations)
    how_long = {"max_runs": max_runs, "budget_s": budget, "allow_missing": options.words(allow_missing)}
    settings = load_settings(config).with_options(limits, how_long, measured)
    with gated.agents(device, devices, token) as agents:
        ended = run_gate(
            bundle,
            agents,
            settings,
            baseline=baseline,
            folder=out,
            noise=noise,
            line=Line(wait, patience, lease),
            say=gated.say_on_stderr(quiet),
        )
    _show(ended, out)
    if ended.interrupt is not None:
        raise ended.interrupt
    raise typer.Exit(ended.report.exit_code)


def _show(ended: Ended, folder: Path) -> None:
    """Print the verdicts, and what CI reads from elsewhere than files."""
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
