"""``gdws plan``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gdws.commands import options
from gdws.commands.making import recipes
from gdws.commands.output import errors, print_json, progress_bar
from gdws.errors import GdwsError


def plan(
    checkpoint: options.Checkpoint,
    net: options.Net = None,
    mean_rank: options.MeanRanks = None,
    beta: options.Betas = None,
    gamma: options.Gammas = None,
    layout: options.Layouts = None,
    alphas: options.Alphas = 0,
    skip: options.Skip = None,
    convert_first: options.ConvertFirst = False,
    data: options.Data = "mnist-sample",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Store the plan as JSON too.")] = None,
    quiet: options.Quiet = False,
    as_json: options.Json = False,
) -> None:
    """Show what would become of each layer: ranks, error, MACs, parameters, or why it stays as it is.

    \b
    Examples:
      gdws plan mnist-preact-resnet --mean-rank 3
      gdws plan net.safetensors --beta 0.05 --alphas 64 --out plan.json
      gdws plan net.safetensors --mean-rank 2 --layout stacked --skip 'layer4.*'
    """
    from gdws import datasets, pipeline
    from gdws.files import write_atomic

    wanted = recipes(mean_rank, beta, gamma, layout, weighted=alphas > 0, skip=skip)
    if len(wanted) != 1:
        raise GdwsError(f"{len(wanted)} plans are asked for", hint="give one of --mean-rank, --beta and --gamma, once")
    source = pipeline.load(checkpoint, net)
    with progress_bar(quiet) as progress:
        weights = None
        if alphas:
            images = datasets.load(data).train.first(alphas)
            weights = pipeline.calibrate_alphas(source, images, progress=progress)
        _, made = pipeline.convert_all(source, wanted, weights=weights, convert_first=convert_first)
    assert made.plan is not None  # the second is the GDWS network
    if out is not None:
        write_atomic(out, made.plan.to_json().encode())
        errors().print(f"wrote {out}", markup=False)
    if as_json:
        print_json(made.plan.to_dict())
    else:
        typer.echo(str(made.plan))
