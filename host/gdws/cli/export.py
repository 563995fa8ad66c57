"""Write a result for other tools: those that keep the history of benchmarks, and viewers of traces.

CSV has a row for each cell. For Bencher: bencher run --adapter json --file FILE. Perfetto (ui.perfetto.dev) and
chrome://tracing open the trace: cells, rounds and layers, and latency, power, temperatures and clocks where the result
keeps them (gdws bench --time-series).

\b
Examples:
  gdws export result.json --format csv --out result.csv
  gdws export result.json --format github-action-benchmark --out benchmark.json
  gdws export result.json --format bencher --out bencher.json
  gdws export result.json --format perfetto --out trace.json
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from gdws.cli.views.output import errors


def export(
    result: Annotated[Path, typer.Argument(metavar="RESULT", help="A result, as written by gdws bench.")],
    form: Annotated[
        Literal["csv", "github-action-benchmark", "bencher", "perfetto"],
        typer.Option("--format", help="The format to write."),
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
    """Write a result for other tools: those that keep the history of benchmarks, and viewers of traces."""
    from gdws.results.exporters import export as write
    from gdws.results.exporters.perfetto import has_series
    from gdws.results.stored import load_result

    loaded = load_result(result)
    write(loaded, out, form, direction=direction)
    if form == "perfetto" and not has_series(loaded):
        errors().print("no cell has readings over time: gdws bench --time-series keeps them", markup=False)
    errors().print(f"wrote {out}", markup=False)
