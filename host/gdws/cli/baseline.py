"""Measure a bundle and store the figures, for later use by gdws gate --baseline.

The file is small and meant to be committed: a merge request that changes it changes what is allowed. It is valid
for the device, versions and settings that it names. A baseline bundle, measured in turns with the candidate,
resolves smaller differences.

\b
Example:
  gdws baseline model.gdws --device http://jetson.local:8000 --out gdws-baseline.json
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from gdws.cli.options import common as options
from gdws.cli.options.gate import DevicesOptions, RunOptions, say_on_stderr
from gdws.cli.views.output import errors


def baseline(
    bundle: options.Bundle,
    devices: DevicesOptions,
    settings: RunOptions,
    runs: Annotated[
        int, typer.Option("--runs", metavar="N", min=1, max=200, help="Number of runs; more give narrower intervals.")
    ] = 10,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The file to write.")] = Path(
        "gdws-baseline.json"
    ),
    quiet: options.Quiet = False,
) -> None:
    """Measure a bundle and store the figures, for later use by gdws gate --baseline."""
    from gdws.gate.documents import save
    from gdws.gate.launch import measure_baseline

    say = say_on_stderr(quiet)
    with (
        devices.only_agent("a baseline is of one device") as agent,
        tempfile.TemporaryDirectory(prefix="gdws-baseline-") as scratch,
    ):
        kept = measure_baseline(
            bundle, agent, settings.settings(), runs=runs, folder=Path(scratch), access=devices.access(), say=say
        )
    save(kept, out)
    errors().print(f"wrote {out}", markup=False)
