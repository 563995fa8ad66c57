"""The commands of ``gdws`` and their help. Commands parse options, call the pipeline and print the result."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated

import typer

from gdws.cli import (
    attack,
    baseline,
    bench,
    compare,
    convert,
    demo,
    evaluate,
    export,
    finetune,
    fleet,
    gate,
    history,
    inspect,
    jobs,
    lease,
    nets,
    noise,
    optimize,
    plan,
    profile,
    report,
    train,
)
from gdws.cli.failures import Commands
from gdws.cli.options.groups import with_groups
from gdws.cli.panels import PanelledCommand

_HELP = """
Convert a pretrained convolutional network into a GDWS network that is faster on your device and keeps its
robustness, and prove both on that device.

From a checkpoint to a report:

\b
  gdws convert net.safetensors --mean-rank 3 --mean-rank 5 --out model.gdws
  gdws bench model.gdws --device http://jetson.local:8000 --batch 1,8 --out result.json
  gdws report result.json --out report.html

All of it at once, with the network and images of the package: gdws demo
"""

_EPILOG = """
\b
Exit codes:
  0    done
  1    measured, but a cell failed or did not pass parity, or no network meets the goal
  2    bad input or usage
  3    the device or its agent could not serve
  70   an unexpected error of gdws or its environment
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


def _add(command: Callable[..., None], summary: str) -> None:
    """Add ``command`` under its own name; its help is the docstring of its file."""
    text = sys.modules[command.__module__].__doc__
    app.command(command.__name__, cls=PanelledCommand, short_help=summary, help=text)(with_groups(command))


_add(demo.demo, "Run the whole pipeline once, on this machine.")
_add(train.train, "Train a network adversarially.")
_add(finetune.finetune, "Fine-tune a GDWS network for an epoch or two.")
_add(plan.plan, "Show the ranks and costs of each layer.")
_add(convert.convert, "Convert, evaluate and pack into a bundle.")
_add(optimize.optimize, "Find the fastest network that a device and accuracy limits allow.")
_add(evaluate.evaluate, "Natural and robust accuracy of a network.")
_add(inspect.inspect, "Check a bundle and list its contents.")
_add(bench.bench, "Measure a bundle on a device.")
_add(profile.profile, "Show where a network spends its time.")
_add(attack.attack, "Attack the engines of a bundle on a device.")
app.add_typer(jobs.app, name="jobs", short_help="List and cancel the jobs of a device.")
app.add_typer(fleet.app, name="fleet", short_help="Measure a sweep on many devices.")
app.add_typer(lease.app, name="lease", short_help="Reserve a shared device.")
_add(gate.gate, "Check in CI whether a change made a network worse.")
_add(baseline.baseline, "Record figures for gdws gate to compare with.")
_add(noise.noise, "Measure the noise of a device, for gdws gate.")
_add(history.history, "List the past jobs of a device.")
_add(report.report, "Write a report from results.")
_add(compare.compare, "Compare two results, cell by cell.")
_add(export.export, "Export a result for Bencher, github-action-benchmark or as CSV.")
_add(nets.nets, "List the networks known by name.")


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
