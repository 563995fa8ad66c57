"""Write a result for a tool that keeps the history of benchmarks.

CSV has a row for each cell. For Bencher: bencher run --adapter json --file FILE.

\b
Examples:
  gdws export result.json --format csv --out result.csv
  gdws export result.json --format github-action-benchmark --out benchmark.json
  gdws export result.json --format bencher --out bencher.json
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from gdws.cli.views.output import errors


class FormatName(str, Enum):
    """See ``gdws.results.exporters``."""

    csv = "csv"
    github_action_benchmark = "github-action-benchmark"
    bencher = "bencher"


class DirectionName(str, Enum):
    """See ``gdws.results.exporters.github_action_benchmark``."""

    smaller = "smaller"
    bigger = "bigger"


def export(
    result: Annotated[Path, typer.Argument(metavar="RESULT", help="A file that gdws bench wrote.")],
    form: Annotated[FormatName, typer.Option("--format", help="Of which tool.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write.")],
    direction: Annotated[
        DirectionName,
        typer.Option(
            "--direction",
            help="For github-action-benchmark: the figures of which smaller is better (latency, energy; its tool is "
            "customSmallerIsBetter), or bigger (FPS, accuracy; customBiggerIsBetter).",
        ),
    ] = DirectionName.smaller,
) -> None:
    """Write a result for a tool that keeps the history of benchmarks."""
    from gdws.results.exporters import export as write
    from gdws.results.stored import load_result

    write(load_result(result), out, form.value, direction=direction.value)
    errors().print(f"wrote {out}", markup=False)
