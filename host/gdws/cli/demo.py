"""Run the whole pipeline once, on this machine: convert, optimise, evaluate, measure, report.

An adversarially trained network is converted as published, and optimised for this machine by measured times; both are
measured beside the dense one. The folder then has report.html; optimisation.html, which says for each layer what was
chosen and why; and result.json and model.gdws. If it is interrupted, the same command resumes.

\b
Examples:
  gdws demo
  gdws demo --quick
  gdws demo --data fashion-mnist --out fashion
"""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from gdws.cli.options import common as options
from gdws.cli.options.agents import LOCAL, end_as
from gdws.cli.views.live import LiveBenchmark
from gdws.cli.views.output import errors, print_line, progress_bar
from gdws.cli.views.result_table import print_summary


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")] = Path("demo-output"),
    quick: Annotated[bool, typer.Option("--quick", help="Fewer images, rounds and evaluated networks.")] = False,
    data: Annotated[
        str, typer.Option("--data", metavar="NAME", help="mnist-sample, or fashion-mnist in a checkout.")
    ] = "mnist-sample",
    images: Annotated[
        int | None,
        typer.Option("--images", metavar="N", min=1, help="Number of test images, up to 1000."),
    ] = None,
    quiet: options.Quiet = False,
) -> None:
    """Run the whole pipeline once, on this machine: convert, optimise, evaluate, measure, report."""
    from gdws.pipeline.demo import FULL, QUICK, DemoFiles, Watcher, agent, make, measure
    from gdws.results.report import summarise
    from gdws.results.report.optimisation import headline

    files, settings = DemoFiles.within(out), QUICK if quick else FULL
    if images is not None:
        settings = replace(settings, test=images)
    started = time.monotonic()
    with agent(files) as device:
        with progress_bar(quiet) as progress:
            found = make(files, settings, device, data=data, watcher=Watcher(_tell, progress))
        with LiveBenchmark(quiet=quiet) as live:
            result = measure(files, settings, device, watcher=Watcher(_tell, on_job=live.show))
    shutil.rmtree(files.state, ignore_errors=True)  # it is for going on after an interruption
    print_summary(summarise(result))
    print_line(f"optimise, {headline(found)}")
    typer.echo()
    print_line(f"{files.html}, {files.search} after {time.monotonic() - started:.0f} s")
    end_as(result, LOCAL)


def _tell(line: str) -> None:
    errors().print(line, markup=False)
