"""Measure how much the figures of a device vary from run to run, by comparing a network with itself.

gdws gate uses it to choose the number of runs. It is valid for the same settings and the same versions on the
device: measure it again after an update. It uses the first network of the bundle, or the one that --variants names;
choose one about as fast as those of the gate. Without a bundle it uses a small network that ships with gdws.

\b
Examples:
  gdws noise --device http://jetson.local:8000
  gdws noise model.gdws --device http://jetson.local:8000 --variants dense --runs 20 --out noise.json
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from gdws.cli.options import common as options
from gdws.cli.options.gate import DevicesOptions, RunOptions, say_on_stderr
from gdws.cli.views.output import errors, print_table
from gdws.errors import GdwsError


def noise(
    devices: DevicesOptions,
    settings: RunOptions,
    bundle: Annotated[
        Path | None,
        typer.Argument(
            metavar="[BUNDLE]", help="A bundle, as written by gdws convert. Default: the network of the package."
        ),
    ] = None,
    runs: Annotated[
        int, typer.Option("--runs", metavar="N", min=4, max=200, help="Number of runs; more give a better estimate.")
    ] = 10,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="File for the noise. Default: in your data folder, by device and backend.",
        ),
    ] = None,
    quiet: options.Quiet = False,
) -> None:
    """Measure how much the figures of a device vary from run to run, by comparing a network with itself."""
    from gdws.gate.documents import save
    from gdws.gate.launch import calibrate, pack_shipped
    from gdws.gate.noise import own_path

    if out is None:
        own_path("device", "backend")  # fails before anything is measured
    say, several = say_on_stderr(quiet), "the noise of one device is measured at a time"
    with devices.only_agent(several) as agent, tempfile.TemporaryDirectory(prefix="gdws-noise-") as scratch:
        found = calibrate(
            bundle or pack_shipped(Path(scratch, "shipped.gdws")),
            agent,
            settings.settings(),
            runs=runs,
            folder=Path(scratch),
            access=devices.access(),
            say=say,
        )
    if out is not None and len(found) > 1:
        raise GdwsError("--out can store the noise of only one backend", hint="name one with --backends")
    rows = []
    for each in found:
        path = out or own_path(each.device, each.backend)
        save(each, path)
        errors().print(f"wrote {path}", markup=False)
        rows += [
            [s.measure, f"batch {s.batch_size}, {each.backend}, {s.precision}", "ratio" if s.paired else "by itself",
             f"{100 * s.sd:.2f}", str(s.runs)]
            for s in each.spreads
        ]  # fmt: skip
    print_table(
        ["measure", "setting", "of", "percent", "runs"], rows, title="spread from run to run", words=["setting", "of"]
    )
