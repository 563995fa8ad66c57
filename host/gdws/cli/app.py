"""The commands of ``gdws`` and their help. They parse, call the pipeline and print; what is done is done elsewhere."""

from __future__ import annotations

from typing import Annotated

import typer

from gdws.cli import (
    baseline,
    bench,
    compare,
    convert,
    demo,
    evaluate,
    export,
    finetune,
    gate,
    history,
    inspect,
    jobs,
    lease,
    nets,
    noise,
    plan,
    profile,
    report,
    train,
)
from gdws.cli.failures import Commands
from gdws.cli.panels import PanelledCommand

_HELP = """
Make a pretrained convolutional network a GDWS network that is faster on the device you own, keep its
robustness, and prove both on that device.

The way from a checkpoint to a report:

\b
  gdws convert net.safetensors --mean-rank 3 --mean-rank 5 --out model.gdws
  gdws bench model.gdws --device http://jetson.local:8000 --batch 1,8 --out result.json
  gdws report result.json --out report.html

All of it at once, with what ships in the package: gdws demo
"""

_EPILOG = """
\b
Exit codes:
  0    done
  1    measured, but a cell failed or did not pass parity
  2    bad input or usage
  3    the device or its agent could not serve
  70   an unforeseen error, of gdws or of its environment
  130  interrupted; what was measured is kept
"""

app = typer.Typer(
    cls=Commands,
    help=_HELP,
    epilog=_EPILOG,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)

app.command("demo", short_help="Go the whole way once, on this machine.")(demo.demo)
app.command("train", short_help="Train a network against PGD.")(train.train)
app.command("finetune", short_help="Train a GDWS network on for an epoch or two.")(finetune.finetune)
app.command("plan", cls=PanelledCommand, short_help="Show what would become of each layer.")(plan.plan)
app.command("convert", cls=PanelledCommand, short_help="Convert, evaluate and pack into a bundle.")(convert.convert)
app.command("evaluate", cls=PanelledCommand, short_help="Natural and robust accuracy of a network.")(evaluate.evaluate)
app.command("inspect", short_help="Check a bundle and tell what is in it.")(inspect.inspect)
app.command("bench", cls=PanelledCommand, short_help="Measure a bundle on a device.")(bench.bench)
app.command("profile", cls=PanelledCommand, short_help="Show where a network spends its time.")(profile.profile)
app.add_typer(jobs.app, name="jobs", short_help="List and cancel the jobs of a device.")
app.add_typer(lease.app, name="lease", short_help="Hold a device that others use, too.")
app.command("gate", cls=PanelledCommand, short_help="Say whether a change made a network worse.")(gate.gate)
app.command("baseline", cls=PanelledCommand, short_help="Keep figures for gdws gate to compare with.")(
    baseline.baseline
)
app.command("noise", cls=PanelledCommand, short_help="Measure the noise of a device, for gdws gate.")(noise.noise)
app.command("history", short_help="List what a device measured before.")(history.history)
app.command("report", short_help="Write a report from results.")(report.report)
app.command("compare", short_help="Compare two results, cell by cell.")(compare.compare)
app.command("export", short_help="Write a result for Bencher, github-action-benchmark or as CSV.")(export.export)
app.command("nets", short_help="List the networks known by name.")(nets.nets)


def _print_version(wanted: bool) -> None:
    if wanted:
        from gdws import __version__

        typer.echo(f"gdws {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    context.obj = {"debug": debug}
