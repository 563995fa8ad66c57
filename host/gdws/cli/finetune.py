"""``gdws finetune``"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gdws.cli.options import common as options
from gdws.cli.options.images import ImageOptions
from gdws.cli.options.network import CheckpointOptions
from gdws.cli.options.training import FinetuneOptions, MakingOptions, RunOptions, command_line, tell
from gdws.cli.views.output import errors, print_json
from gdws.errors import GdwsError

if TYPE_CHECKING:
    from gdws.training import FinetuneResult


def finetune(
    *,
    network: Annotated[
        str,
        typer.Argument(
            metavar="NETWORK",
            help="A GDWS network: a bundle (.gdws), or a file that this command wrote. Or a checkpoint as gdws convert "
            "takes it, which is converted first, by --mean-rank or --plan.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where weights and plan go, e.g. tuned.safetensors.")],
    variant: Annotated[str | None, typer.Option("--variant", metavar="NAME", help="Which network of a bundle.")] = None,
    reading: CheckpointOptions,
    making: MakingOptions,
    training: FinetuneOptions,
    images: ImageOptions,
    run: RunOptions,
    as_json: options.Json = False,
) -> None:
    """Train a GDWS network on for an epoch or two, to get back accuracy that conversion lost.

    Ranks and layouts stay; the weights descend on adversarial images, white-box on the GDWS network itself. Filters are
    held at norm 1, without which the two factors of a layer can drive each other apart. Each epoch is judged on a
    validation split, and the network at the start is kept unless an epoch is better; test images are never looked at.

    What is written holds plan and weights: gdws evaluate takes it, gdws convert --tuned packs it into a bundle, and
    gdws finetune goes on from it.

    \b
    Examples:
      gdws finetune mnist-preact-resnet --mean-rank 1 --layout stacked --out tuned.safetensors
      gdws finetune model.gdws --variant data-rank-1-stacked --epochs 1 --out tuned.safetensors
      gdws evaluate tuned.safetensors
      gdws convert mnist-preact-resnet --tuned tuned.safetensors --out tuned.gdws
    """
    from gdws.networks import converted
    from gdws.training import finetune as finetune_network

    settings = training.settings()
    dataset = images.load(seed=training.seed)
    with run.processes(out) as (workers, progress):
        found = converted.find(network, variant)
        if found is None:
            _refuse(network, "is no bundle", variant=variant)
            source = reading.load(network)
            made = making.convert(source, dataset.train, settings, progress)
            start, its_plan, provenance = made.module, made.plan, dict(source.provenance)
        else:
            _refuse(network, "is converted already", mean_rank=making.mean_rank, plan=making.plan, net=reading.net)
            start, its_plan, provenance = found.module, found.plan, dict(found.metadata)
        result = finetune_network(
            start,
            dataset,
            settings,
            plan=its_plan,
            provenance=provenance,
            out=out,
            resume=run.resume,
            workers=workers,
            command=command_line(),
            progress=progress,
            on_epoch=tell if workers.leads else None,
        )
    if workers.leads:
        _show(result, out, as_json)


def _show(result: FinetuneResult, out: Path, as_json: bool) -> None:
    before, best = result.start, result.best
    if as_json:
        history = [vars(record) for record in result.history]
        print_json({"out": str(out), "start": vars(before), "best": vars(best), "history": history})
        return
    typer.echo(
        f"{out}: validation natural {before.natural:.2%} -> {best.natural:.2%}, "
        f"robust {before.robust:.2%} -> {best.robust:.2%}"
        + (f", epoch {best.epoch} of {len(result.history)}" if result.improved else "")
    )
    if not result.improved:
        errors().print("note: no epoch was better than the network at the start, which is what was written")


def _refuse(network: str, because: str, **given: object) -> None:
    """Raise unless all of ``given`` are None."""
    names = [f"--{name.replace('_', '-')}" for name, value in given.items() if value is not None]
    if names:
        raise GdwsError(f"{network} {because}", hint=f"leave out {' and '.join(names)}")
