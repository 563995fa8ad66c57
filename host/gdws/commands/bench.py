"""``gdws bench``"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from gdws.commands import options
from gdws.commands.live import LiveBenchmark
from gdws.commands.output import errors, print_json
from gdws.commands.result_table import print_summary
from gdws.errors import GdwsError
from gdws.report.text import plural

LOCAL = "local"


def bench(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A file that gdws convert wrote.")],
    device: Annotated[
        str, typer.Option("--device", metavar="local|URL", help="An agent's address, or this machine.")
    ] = LOCAL,
    batch: Annotated[str, typer.Option("--batch", metavar="N,...", help="Batch sizes.")] = "1",
    variants: Annotated[
        str | None, typer.Option("--variants", metavar="NAME,...", help="Networks of the bundle. Default: all.")
    ] = None,
    backends: Annotated[
        str | None, typer.Option("--backends", metavar="NAME,...", help="Runtimes. Default: the best there is.")
    ] = None,
    precision: Annotated[str, typer.Option("--precision", metavar="NAME,...", help="E.g. fp32,fp16.")] = "fp32",
    rounds: Annotated[
        int | None, typer.Option("--rounds", help="Windows of each cell; the networks take turns. Default: 10.")
    ] = None,
    min_duration: Annotated[
        float | None, typer.Option("--min-duration", metavar="SECONDS", help="Measured time of a cell. Default: 3.")
    ] = None,
    min_iterations: Annotated[
        int | None, typer.Option("--min-iterations", help="Measured inferences of a cell. Default: 100.")
    ] = None,
    warmup: Annotated[
        float | None, typer.Option("--warmup", metavar="SECONDS", help="Warm-up, then until steady. Default: 0.2.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", help="CPU threads. Default: one for each physical core.")
    ] = None,
    tolerance: Annotated[
        float | None, typer.Option("--tolerance", help="Largest logit difference, relative. Default: 1e-3.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Orders the networks in the rounds. Default: 0.")] = None,
    label: Annotated[str | None, typer.Option("--label", help="A line of text to keep with the result.")] = None,
    patience: Annotated[
        float, typer.Option("--patience", metavar="SECONDS", help="How long an agent may be away before we give up.")
    ] = 20.0,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the result goes; kept up to date meanwhile.")] = Path(
        "result.json"
    ),
    quiet: options.Quiet = False,
    as_json: options.Json = False,
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
    """
    from gdws.benchmark import benchmark, failure, is_complete
    from gdws.client import DeviceClient
    from gdws.report import summarise
    from gdws_contract.archive import open_bundle

    with open_bundle(bundle) as opened:
        model_id = opened.id
    protocol = {
        "rounds": rounds,
        "min_duration_ms": None if min_duration is None else 1000 * min_duration,
        "min_iterations": min_iterations,
        "warmup_ms": None if warmup is None else 1000 * warmup,
        "threads": threads,
        "parity_tolerance": tolerance,
        "seed": seed,
    }
    request = _request(
        model_id=model_id,
        variants=options.words(variants),
        backends=options.words(backends),
        precisions=options.words(precision),
        batch_sizes=options.numbers(batch, "--batch"),
        protocol={name: value for name, value in protocol.items() if value is not None},
        label=label,
    )
    live = LiveBenchmark(quiet=quiet)
    try:
        with live, _agent(device) as url, DeviceClient(url) as client:
            live.uploading(bundle.stat().st_size)
            result = benchmark(
                client,
                bundle,
                request,
                out=out,
                on_upload=live.sent,
                on_progress=live.show,
                patience_s=patience,
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


def _request(**fields: Any) -> Any:
    """The request; raises :class:`GdwsError` naming the field that is wrong."""
    from gdws_contract.parsing import first_fault
    from gdws_contract.rest import BenchmarkRequest

    try:
        return BenchmarkRequest.model_validate(fields)
    except ValidationError as error:
        field, message = first_fault(error)
        raise GdwsError(f"{field}: {message}", hint="gdws bench --help tells what each option takes") from error


@contextlib.contextmanager
def _agent(device: str) -> Iterator[str]:
    """The address of the agent, started here if ``device`` is ``local``."""
    from gdws.local_agent import local_agent

    if device == LOCAL:
        with local_agent() as url:
            yield url
    else:
        yield device
