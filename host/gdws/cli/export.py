"""Write a result for a tool that keeps the history of benchmarks.

CSV has a row for each cell. For Bencher: bencher run --adapter json --file FILE.

\b
Examples:
  gdws export result.json --format csv --out result.csv
  gdws export result.json --format github-action-benchmark --out benchmark.json
  gdws export result.json --format bencher --out bencher.json
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from gdws.cli.views.output import errors


def export(
    result: Annotated[Path, typer.Argument(metavar="RESULT", help="A result, as written by gdws bench.")],
    form: Annotated[
        Literal["csv", "github-action-benchmark", "bencher"], typer.Option("--format", help="The format to write.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write.")],
    direction: Annotated[
        Literal["smaller", "bigger"],
        typer.Option(
            "--direction",
            help="For github-action-benchmark: figures for customSmallerIsBetter (latency, energy) or for "
            "customBiggerIsBetter (FPS, accuracy).",
        ),
    ] = "smaller",
) -> None:
    """Write a result for a tool that keeps the history of benchmarks."""
    from gdws.results.exporters import export as write
    from gdws.results.stored import load_result

    write(load_result(result), out, form, direction=direction)
    errors().print(f"wrote {out}", markup=False)
