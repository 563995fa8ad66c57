"""``gdws baseline``"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from gdws.cli.options import common as options
from gdws.cli.options import gate as gated
from gdws.cli.views.output import errors
from gdws.errors import GdwsError


def baseline(
    bundle: options.Bundle,
    device: gated.Devices = "local",
    devices: gated.DevicesFile = None,
    token: options.Token = None,
    config: gated.Config = None,
    runs: Annotated[int, typer.Option("--runs", metavar="N", min=1, max=200, help="More make it surer.")] = 10,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The file to write.")] = Path(
        "gdws-baseline.json"
    ),
    wait: gated.Wait = 3_600.0,
    patience: options.Patience = 20.0,
    lease: options.LeaseId = None,
    quiet: options.Quiet = False,
    variants: gated.Networks = None,
    batch: gated.Batch = None,
    backends: gated.Backends = None,
    precision: gated.Precision = None,
    rounds: gated.Rounds = None,
    min_duration: gated.MinDuration = None,
    min_iterations: gated.MinIterations = None,
) -> None:
    """Measure a bundle and keep the figures, for gdws gate --baseline to compare with later.

    The file is small, and meant for the repository: a merge request that changes it changes what is allowed. It
    holds for the device, versions and settings that it names. A baseline bundle, measured beside the candidate,
    tells smaller differences apart.

    \b
    Example:
      gdws baseline model.gdws --device http://jetson.local:8000 --out gdws-baseline.json
    """
    from gdws.gate.documents import save
    from gdws.gate.launch import Line, measure_baseline
    from gdws.gate.settings import load_settings

    measured = gated.measurement(variants, batch, backends, precision, rounds, min_duration, min_iterations)
    settings = load_settings(config).with_options({}, {}, measured)
    line, say = Line(wait, patience, lease), gated.say_on_stderr(quiet)
    with (
        gated.agents(device, devices, token) as agents,
        tempfile.TemporaryDirectory(prefix="gdws-baseline-") as scratch,
    ):
        if len(agents) > 1:
            raise GdwsError("a baseline is of one device", hint="name one with --device")
        kept = measure_baseline(bundle, agents[0], settings, runs=runs, folder=Path(scratch), line=line, say=say)
    save(kept, out)
    errors().print(f"wrote {out}", markup=False)
