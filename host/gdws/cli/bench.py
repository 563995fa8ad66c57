"""``gdws bench``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gdws.cli.options import common as options
from gdws.cli.options.agents import LOCAL, agent_at, given, make_request, milliseconds
from gdws.cli.views.live import LiveBenchmark
from gdws.cli.views.output import errors, print_json
from gdws.cli.views.result_table import print_summary
from gdws.errors import GdwsError
from gdws.results.report.text import plural


def bench(
    bundle: options.Bundle,
    device: options.Device = LOCAL,
    token: options.Token = None,
    batch: Annotated[str, typer.Option("--batch", metavar="N,...", help="Batch sizes.")] = "1",
    variants: Annotated[
        str | None, typer.Option("--variants", metavar="NAME,...", help="Networks of the bundle. Default: all.")
    ] = None,
    backends: Annotated[
        str | None, typer.Option("--backends", metavar="NAME,...", help="Runtimes. Default: the best there is.")
    ] = None,
    precision: Annotated[str, typer.Option("--precision", metavar="NAME,...", help="E.g. fp32,fp16.")] = "fp32",
    label: options.Label = None,
    patience: options.Patience = 20.0,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the result goes; kept up to date meanwhile.")] = Path(
        "result.json"
    ),
    quiet: options.Quiet = False,
    as_json: options.Json = False,
    priority: options.Priority = 0,
    lease: options.LeaseId = None,
    time_limit: options.TimeLimit = None,
    memory_limit: options.MemoryLimit = None,
    rounds: options.Rounds = None,
    min_duration: options.MinDuration = None,
    min_iterations: options.MinIterations = None,
    warmup: options.Warmup = None,
    threads: options.Threads = None,
    tolerance: options.Tolerance = None,
    seed: options.OrderSeed = None,
    power_mode: options.PowerModes = None,
    jetson_clocks: options.JetsonClocks = None,
    idle: options.Idle = None,
    sustained: options.Sustained = None,
    builds: options.Builds = None,
    build_timeout: options.BuildTimeout = None,
    optimization_level: options.OptimizationLevel = None,
    workspace: options.Workspace = None,
    batch_profile: options.BatchProfile = None,
    cuda_graph: options.CudaGraph = False,
    dla_core: options.DlaCore = None,
    gpu_fallback: options.GpuFallback = True,
) -> None:
    """Measure the networks of a bundle side by side on a device.

    Each network first replays the verification set; one whose answers are not the host's is not timed. Then
    the networks take turns, so that drift of the machine does not favour one. Ctrl-C cancels the job on the
    device and keeps what was measured.

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
    What heat leaves of the speed after five minutes, and how much engines of one network differ:
      gdws bench model.gdws --device http://jetson.local:8000 --sustained 300 --builds 5
    """
    from gdws.device.benchmark import benchmark, failure, is_complete
    from gdws.device.client import DeviceClient
    from gdws.device.leases import renewing
    from gdws.results.report import summarise
    from gdws_contract.archive import open_bundle
    from gdws_contract.rest import BenchmarkRequest

    with open_bundle(bundle) as opened:
        model_id = opened.id
    request = make_request(
        BenchmarkRequest,
        "bench",
        model_id=model_id,
        variants=options.words(variants),
        backends=options.words(backends),
        precisions=options.words(precision),
        batch_sizes=options.numbers(batch, "--batch"),
        power_modes=options.power_modes(power_mode),
        jetson_clocks=jetson_clocks,
        engine=given(
            builds=builds,
            build_timeout_s=build_timeout,
            optimization_level=optimization_level,
            workspace_mib=workspace,
            batch_profile=batch_profile,
            cuda_graph=cuda_graph,
            dla_core=dla_core,
            gpu_fallback=gpu_fallback,
        ),
        protocol=given(
            rounds=rounds,
            min_duration_ms=milliseconds(min_duration),
            min_iterations=min_iterations,
            warmup_ms=milliseconds(warmup),
            threads=threads,
            parity_tolerance=tolerance,
            seed=seed,
            idle_ms=milliseconds(idle),
            sustained_ms=milliseconds(sustained),
        ),
        label=label,
        priority=priority,
        limits=given(time_s=time_limit, memory_mib=memory_limit),
    )
    live = LiveBenchmark(quiet=quiet)
    try:
        with live, agent_at(device) as url, DeviceClient(url, token=token) as client, renewing(client, lease):
            live.uploading(bundle.stat().st_size)
            result = benchmark(
                client,
                bundle,
                request,
                out=out,
                on_upload=live.sent,
                on_progress=live.show,
                patience_s=patience,
                lease_id=lease,
            )
    except (KeyboardInterrupt, GdwsError):
        if live.cells:
            errors().print(f"{plural(live.cells, 'finished cell')} kept in {out}", markup=False)
        raise
    if as_json:
        print_json(result.model_dump(mode="json"))
    else:
        print_summary(summarise(result))
        errors().print(f"wrote {out}", markup=False)
    error = failure(result, device)
    if error is not None:
        raise error
    if not is_complete(result):
        raise typer.Exit(1)
