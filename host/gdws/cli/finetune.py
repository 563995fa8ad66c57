"""Fine-tune a GDWS network, or one in INT8, for an epoch or two, to recover accuracy lost in the conversion.

Ranks and layouts are fixed; the weights are trained on adversarial images, white-box on the network itself. Filters are
normalised to norm 1, since the scales of a layer's two factors could otherwise diverge. Each epoch is evaluated on a
validation split, and the initial network is kept unless an epoch is better; test images are not used.

With --int8 the network, dense or converted, is quantised first and trained as it is rounded.

The output has plan and weights: gdws evaluate reads it, gdws convert --tuned packs it into a bundle, and gdws
finetune can start from it. In INT8 it is an ONNX file, which gdws convert --tuned packs.

\b
Examples:
  gdws finetune mnist-preact-resnet --mean-rank 1 --layout stacked --out tuned.safetensors
  gdws finetune model.gdws --variant data-rank-1-stacked --epochs 1 --out tuned.safetensors
  gdws evaluate tuned.safetensors
  gdws finetune tuned.safetensors --int8 onnxruntime --epochs 1 --learning-rate 1e-4 --out tuned-int8.onnx
  gdws convert mnist-preact-resnet --tuned tuned.safetensors --tuned tuned-int8.onnx --out tuned.gdws
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gdws.cli.options import common as options
from gdws.cli.options.images import ImageOptions
from gdws.cli.options.int8 import TunedInt8Options
from gdws.cli.options.network import NetworkOptions
from gdws.cli.options.training import FinetuneOptions, RunOptions, StartOptions, command_line, epochs_told
from gdws.cli.views.output import errors, print_json
from gdws.errors import GdwsError

if TYPE_CHECKING:
    from gdws.training import FinetuneResult


@dataclass(frozen=True)
class TunedNetworkOptions(NetworkOptions):
    """The same, where the file may contain a GDWS network."""

    checkpoint: Annotated[
        str | None,
        typer.Argument(
            metavar="NETWORK",
            help="A GDWS network: a bundle (.gdws), or a file written by this command; with --onnx or --module if it "
            "was made from such a network. Or a checkpoint as for gdws convert, which is converted first, by "
            "--mean-rank or --plan.",
            show_default=False,
        ),
    ] = None


def finetune(
    *,
    network: TunedNetworkOptions,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="File for weights and plan, e.g. tuned.safetensors; in INT8 tuned.onnx.")
    ],
    variant: Annotated[str | None, typer.Option("--variant", metavar="NAME", help="The network of the bundle.")] = None,
    start: StartOptions,
    int8: TunedInt8Options,
    training: FinetuneOptions,
    images: ImageOptions,
    run: RunOptions,
    as_json: options.Json = False,
) -> None:
    """Fine-tune a GDWS network, or one in INT8, for an epoch or two, to recover accuracy lost in the conversion."""
    from gdws import pipeline
    from gdws import training as trainer

    settings, recipe, quantisation = training.settings(), start.recipe(), int8.quantisation()
    if quantisation is not None and out.suffix != ".onnx":
        raise GdwsError(f"a network in INT8 is written as ONNX, and {out} is not named so", hint="e.g. tuned.onnx")
    with run.processes(out) as (workers, progress):
        source = network.open(variant=variant)
        dataset = images.open(source, seed=training.seed)
        calibration = dataset.train.first(start.calibration)
        common: dict[str, Any] = {
            "provenance": source.provenance,
            "out": out,
            "resume": run.resume,
            "workers": workers,
            "command": command_line(),
            "progress": progress,
            "on_epoch": epochs_told() if workers.leads else None,
        }
        if quantisation is None:
            source = pipeline.finetuning_start(source, recipe, calibration, settings, progress=progress)
            result = trainer.finetune(source.module, dataset, settings, plan=source.plan, **common)
        else:
            made = pipeline.quantised_start(source, recipe, calibration, settings, quantisation, progress=progress)
            result = trainer.finetune_int8(made, tuple(source.input_shape), dataset, settings, **common)
    if workers.leads:
        _show(result, out, as_json)


def _show(result: FinetuneResult, out: Path, as_json: bool) -> None:
    before, best = result.start, result.best
    if as_json:
        history = [vars(record) for record in result.history]
        print_json({"out": str(out), "start": vars(before), "best": vars(best), "history": history})
        return
    robust = ""
    if before.robust is not None and best.robust is not None:
        robust = f", robust {before.robust:.2%} -> {best.robust:.2%}"
    typer.echo(
        f"{out}: validation natural {before.natural:.2%} -> {best.natural:.2%}{robust}"
        + (f", epoch {best.epoch} of {len(result.history)}" if result.improved else "")
    )
    if not result.improved:
        errors().print("note: no epoch improved on the initial network, which was written unchanged")
