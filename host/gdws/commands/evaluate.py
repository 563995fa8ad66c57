"""``gdws evaluate``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gdws.commands import options
from gdws.commands.making import read_plans
from gdws.commands.output import print_json, progress_bar


def evaluate(
    checkpoint: options.Checkpoint,
    net: options.Net = None,
    plan: Annotated[
        Path | None, typer.Option("--plan", metavar="FILE", help="Evaluate the GDWS network of this plan instead.")
    ] = None,
    data: options.Data = "mnist-sample",
    images: Annotated[int, typer.Option("--images", metavar="N", min=1, help="The first N test images.")] = 1000,
    attack: options.Attack = "pgd",
    eps: options.Eps = 0.2,
    step: options.Step = 0.02,
    iterations: options.Iterations = 40,
    restarts: options.Restarts = 1,
    random_start: options.RandomStart = True,
    seed: options.Seed = 0,
    quiet: options.Quiet = False,
    as_json: options.Json = False,
) -> None:
    """Natural and robust accuracy of a network, each with its 95 % interval.

    The attack is white-box: made for the very network that is evaluated, GDWS or dense.

    \b
    Examples:
      gdws evaluate mnist-preact-resnet
      gdws evaluate net.safetensors --plan plan.json --iterations 100 --restarts 10
      gdws evaluate net.safetensors --attack none --json
    """
    from gdws import datasets, pipeline
    from gdws.report import text

    spec = options.attack_spec(attack, eps, step, iterations, restarts, random_start, seed)
    plans = read_plans([plan] if plan else None)
    source = pipeline.load(checkpoint, net)
    dataset = datasets.load(data)
    variant = pipeline.convert_all(source, [], plans=plans)[-1]
    with progress_bar(quiet) as progress:
        found = pipeline.evaluate_one(variant, dataset.test.first(images), spec, progress=progress)
    if as_json:
        of_what = {"checkpoint": checkpoint, "variant": variant.name, "data": f"{dataset.name}, test"}
        print_json({**of_what, **found.to_dict()})
        return
    natural = f"{text.percent(found.natural.value)} ({text.percent_interval(found.natural)})"
    typer.echo(f"{variant.name} on {found.natural.count} images of {dataset.name}, test; 95 % intervals")
    typer.echo(f"natural accuracy  {natural}")
    if found.robust is not None:
        typer.echo(f"robust accuracy   {text.percent(found.robust.value)} ({text.percent_interval(found.robust)})")
        typer.echo(f"attack            {found.attack}, white-box")
