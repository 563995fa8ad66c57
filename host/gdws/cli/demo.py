"""Run the whole pipeline once, on this machine: convert, evaluate, pack, measure, report.

The network is a pre-activation ResNet, adversarially trained on MNIST, that ships with the package. The folder
then has report.html, and result.json and model.gdws from which it was made.

\b
Examples:
  gdws demo
  gdws demo --quick
  gdws demo --images 1000 --out thorough
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from gdws.cli.options import common as options
from gdws.cli.views.live import LiveBenchmark
from gdws.cli.views.output import errors, progress_bar
from gdws.cli.views.result_table import print_summary


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")] = Path("demo-output"),
    quick: Annotated[bool, typer.Option("--quick", help="Fewer networks, images and rounds.")] = False,
    images: Annotated[
        int | None,
        typer.Option("--images", metavar="N", min=1, help="Number of test images, up to 1000."),
    ] = None,
    quiet: options.Quiet = False,
) -> None:
    """Run the whole pipeline once, on this machine: convert, evaluate, pack, measure, report."""
    from gdws.device.benchmark import failure, is_complete
    from gdws.pipeline.demo import FULL, QUICK, DemoFiles, make, measure
    from gdws.results.report import summarise

    files, settings = DemoFiles.within(out), QUICK if quick else FULL
    if images is not None:
        settings = replace(settings, bundle=replace(settings.bundle, test=images))
    started = time.monotonic()
    with progress_bar(quiet) as progress:
        bundle_id = make(files, settings, progress=progress, tell=_tell)
    with LiveBenchmark(quiet=quiet) as live:
        result = measure(files, settings, bundle_id, tell=_tell, on_job=live.show)
    print_summary(summarise(result))
    typer.echo(f"\n{files.html} after {time.monotonic() - started:.0f} s")
    error = failure(result, "local")
    if error is not None:
        raise error
    if not is_complete(result):
        raise typer.Exit(1)


def _tell(line: str) -> None:
    errors().print(line, markup=False)
