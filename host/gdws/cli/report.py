"""Write a report from stored results. No device is needed.

The report has the verdict, every network with its size, accuracy on host and device, latency and speed-up, the
layers, and how it was measured.

\b
Examples:
  gdws report result.json --out report.html
  gdws report xavier.json orin.json --out side-by-side.html
  gdws report result.json | less
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gdws.cli.views.output import errors


def report(
    result: Annotated[
        list[Path],
        typer.Argument(metavar="RESULT...", help="Results written by gdws bench; several are shown side by side."),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="A .html, .md, .json or .csv file. Default: Markdown, printed."),
    ] = None,
) -> None:
    """Write a report from stored results. No device is needed."""
    from gdws.results.report import render, write
    from gdws.results.stored import load_result

    loaded = [load_result(path) for path in result]
    if out is None:
        typer.echo(render(loaded, ".md"), nl=False)
        return
    write(loaded, out)
    errors().print(f"wrote {out}", markup=False)
