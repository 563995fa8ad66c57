"""Compare two results cell by cell: the speed-up of B over A, with intervals, and differences in the set-up.

Cells are matched by network, backend, precision, batch size and power mode. Two results of gdws profile are compared
layer by layer of the source network, e.g. those of the dense and the optimised network.

\b
Examples:
  gdws compare dense-layers.json optimised-layers.json
  gdws compare before.json after.json
  gdws compare 5f2b9c0a7d41 0c81e2d97a65 --device http://jetson.local:8000 --out comparison.md
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gdws.cli.options import common as options
from gdws.cli.views.output import errors, print_table, results
from gdws.errors import ResultError

if TYPE_CHECKING:
    from gdws.results.comparison import Comparison
    from gdws_contract.rest import BenchmarkResult


def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="A result: a file, or with --device the id of a job.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The result to compare with it.")],
    device: Annotated[
        str | None,
        typer.Option(
            "--device", metavar="URL", envvar="GDWS_DEVICE", show_envvar=True, help="The agent that has the jobs."
        ),
    ] = None,
    token: options.Token = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="A .md or .json file.")] = None,
    as_json: options.Json = False,
) -> None:
    """Compare two results cell by cell: the speed-up of B over A, with intervals, and differences in the set-up."""
    from gdws.device.client import DeviceClient
    from gdws.results.comparison import compare as compare_results
    from gdws.results.comparison.rendering import render_json, write

    with ExitStack() as stack:
        client = None if device is None else stack.enter_context(DeviceClient(device, token=token))

        def load(source: str) -> BenchmarkResult:
            from gdws.device.history import fetch_result
            from gdws.results.stored import load_result

            if Path(source).exists():
                return load_result(Path(source))
            if client is None:
                raise ResultError(
                    f"there is no file {source}", hint="to compare jobs of an agent, give its address: --device URL"
                )
            return fetch_result(client, source)

        comparison = compare_results(load(a), load(b), source_a=a, source_b=b)
    if out is not None:
        write(comparison, out)
        errors().print(f"wrote {out}", markup=False)
    if as_json:
        typer.echo(render_json(comparison), nl=False)
    elif out is None:
        _print(comparison)


def _print(comparison: Comparison) -> None:
    from gdws.results.comparison import rendering

    console = results()
    for name, side in (("A", comparison.a), ("B", comparison.b)):
        console.print(f"{name}: {rendering.describe(side)}", markup=False)
        for line in rendering.shown(side):
            console.print(f"   {line}", markup=False)
    console.print()
    for profiles in comparison.profiles:
        print_table(rendering.LAYER_COLUMNS, rendering.layer_rows(profiles), title=rendering.layer_title(profiles))
        console.print(rendering.LAYER_CAVEAT, markup=False)
    if comparison.cells:
        rows = [rendering.row(comparison, cell) for cell in comparison.cells]
        print_table(rendering.columns(comparison), rows, words=rendering.WORDS)
    console.print()
    for line in rendering.untold(comparison):
        console.print(f"- {line}", markup=False)
    for difference in comparison.differences:
        console.print(f"- not the same: {difference}", markup=False)
    if comparison.cells:
        console.print(rendering.CAVEAT, markup=False)
