"""Measure the networks of a bundle side by side on a device.

Each network first replays the verification set; one whose outputs differ from the host's is not timed. Then the
networks are measured in turns, so that drift of the machine favours none. Ctrl-C cancels the job on the device
and keeps what was measured.

\b
Examples:
  gdws bench model.gdws
  gdws bench model.gdws --device http://jetson.local:8000 --batch 1,8 --out jetson.json
  gdws bench model.gdws --variants dense,mean-rank-3 --rounds 20 --min-duration 10

\b
On a Jetson, TensorRT in half precision, with energy, in two power modes with fixed clocks:
  gdws bench model.gdws --device http://jetson.local:8000 --backends tensorrt --precision fp16 \\
    --power-mode MAXN --power-mode MODE_15W --jetson-clocks --idle 10 --min-duration 20

\b
Frames of a camera at 30 Hz, each to be finished before the next; and the highest rate without a miss of 20 ms:
  gdws bench model.gdws --rate 30 --paced-duration 60
  gdws bench model.gdws --highest-rate --deadline 20

\b
The speed under thermal limits after five minutes, and the spread between engines of one network:
  gdws bench model.gdws --device http://jetson.local:8000 --sustained 300 --builds 5

\b
All devices of a file, each at its own pace; gdws fleet resume and gdws fleet report take the folder:
  gdws bench model.gdws --devices devices.toml --tag orin --out nightly
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gdws.cli.fleet import measure_on
from gdws.cli.options import common as options
from gdws.cli.options.agents import AgentOptions, end_as, make_request, model_id
from gdws.cli.options.engine import BuildOptions
from gdws.cli.options.fleets import FleetOptions
from gdws.cli.options.measuring import CellOptions, MeasuringOptions
from gdws.cli.options.pacing import PacingOptions
from gdws.cli.options.sharing import SharingOptions
from gdws.cli.views.live import LiveBenchmark
from gdws.cli.views.output import errors, print_json
from gdws.cli.views.result_table import print_summary
from gdws.errors import GdwsError
from gdws_contract.findings.text import plural


def bench(
    bundle: options.Bundle,
    agent: AgentOptions,
    sharing: SharingOptions,
    measuring: MeasuringOptions,
    building: BuildOptions,
    cells: CellOptions,
    pacing: PacingOptions,
    fleet: FleetOptions,
    label: options.Label = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="File for the result; updated during the job.")] = Path(
        "result.json"
    ),
    quiet: options.Quiet = False,
    as_json: options.Json = False,
) -> None:
    """Measure the networks of a bundle side by side on a device."""
    from gdws.results.report import summarise
    from gdws_contract.rest import BenchmarkRequest

    request = make_request(
        BenchmarkRequest,
        "bench",
        model_id=model_id(bundle),
        **cells.fields(),
        power_modes=measuring.power_modes(),
        jetson_clocks=measuring.jetson_clocks,
        engine=building.engine(),
        protocol=measuring.protocol(),
        pacing=pacing.pacing(),
        series=pacing.series(),
        label=label,
        **sharing.fields(),
    )
    if devices := fleet.chosen(agent, sharing, out, as_json=as_json):
        measure_on(devices, bundle, request, out, reconnect_s=agent.reconnect, quiet=quiet)
        return
    live = LiveBenchmark(quiet=quiet)
    try:
        result = agent.measure(bundle, request, sharing, live, out)
    except (KeyboardInterrupt, GdwsError):
        if live.cells:
            errors().print(f"{plural(live.cells, 'finished cell')} kept in {out}", markup=False)
        raise
    if as_json:
        print_json(result.model_dump(mode="json"))
    else:
        print_summary(summarise(result))
        errors().print(f"wrote {out}", markup=False)
    end_as(result, agent.device)
