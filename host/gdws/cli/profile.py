"""Show where a network of a bundle spends its time on a device, layer by layer.

Times come from the runtime's own profiler (TensorRT, ONNX Runtime) or from hooks in torch. Runtimes fuse layers;
the source column shows the layers of your network that each came from. Profiling has overhead, so compare shares
here, and take the total time from gdws bench.

\b
Examples:
  gdws profile model.gdws
  gdws profile model.gdws --variant mean-rank-3 --by-source
  gdws profile model.gdws --variant mean-rank-3 --device http://jetson.local:8000 \\
    --backend tensorrt --precision fp16 --out layers.json
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gdws.cli.options import common as options
from gdws.cli.options.agents import AgentOptions, given, make_request, model_id
from gdws.cli.options.engine import EngineOptions
from gdws.cli.options.measuring import OneCellOptions, Threads
from gdws.cli.options.sharing import SharingOptions
from gdws.cli.views.live import LiveBenchmark, summary
from gdws.cli.views.output import errors, print_json
from gdws.cli.views.profile_table import print_profile
from gdws.errors import DeviceError


def profile(
    bundle: options.Bundle,
    agent: AgentOptions,
    sharing: SharingOptions,
    building: EngineOptions,
    setting: OneCellOptions,
    iterations: Annotated[
        int | None, typer.Option("--iterations", help="Number of inferences to average over. Default: 50.")
    ] = None,
    by_source: Annotated[
        bool, typer.Option("--by-source", help="Sum the times of each layer of the source network.")
    ] = False,
    label: options.Label = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Store the result as JSON, as gdws bench does.")
    ] = None,
    quiet: options.Quiet = False,
    as_json: options.Json = False,
    threads: Threads = None,
) -> None:
    """Show where a network of a bundle spends its time on a device, layer by layer."""
    from gdws.device.benchmark import failure
    from gdws_contract.profiles import ProfileRequest

    request = make_request(
        ProfileRequest,
        "profile",
        model_id=model_id(bundle),
        variant=setting.variant,
        backend=setting.backend,
        precision=setting.precision,
        batch_size=setting.batch,
        options=given(iterations=iterations),
        engine=building.engine(),
        threads=threads,
        label=label,
        **sharing.fields(),
    )
    result = agent.measure(bundle, request, sharing, LiveBenchmark(quiet=quiet), out)
    if as_json:
        print_json(result.model_dump(mode="json"))
    error = failure(result, agent.device)
    if error is not None:
        raise error
    if not result.job.cells:
        raise DeviceError("the job ended without a result", url=agent.device)
    (cell,) = result.job.cells
    if cell.profile is None:
        errors().print(summary(cell), markup=False)
        raise typer.Exit(1)
    if not as_json:
        print_profile(cell.key, cell.profile, summed=by_source)
    if out is not None:
        errors().print(f"wrote {out}", markup=False)
