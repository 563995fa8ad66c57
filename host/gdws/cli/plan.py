"""Show ranks, error, MACs and parameters of each layer, or why it stays dense.

Ranks follow from one bound. --beta bounds the error e^2 of each layer separately, as in the paper; --budget bounds
the sum over all layers and spends it where it saves most; --mean-rank and --gamma bound the cost of each layer,
--mac-saving that of the network; --equal-rank is the same rank everywhere, for comparison. With --compare, give any
number of bounds.

\b
Examples:
  gdws plan mnist-preact-resnet --mean-rank 3
  gdws plan net.safetensors --beta 0.05 --alphas 64 --out plan.json
  gdws plan net.safetensors --mean-rank 2 --layout stacked --skip 'layer4.*'
  gdws plan net.safetensors --compare --alphas 64 --beta 0.01 --budget 0.1 --equal-rank 3
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gdws.cli.options import common as options
from gdws.cli.options.images import ImageOptions
from gdws.cli.options.network import NetworkOptions
from gdws.cli.options.recipes import NoAlphaOptions, PlanOptions
from gdws.cli.views.output import errors, print_json, progress_bar
from gdws.cli.views.plan_comparison import comparison, print_comparison
from gdws.errors import GdwsError


def plan(
    network: NetworkOptions,
    plans: PlanOptions,
    alphas: NoAlphaOptions,
    images: ImageOptions,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Also store the plan as JSON.")] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Make all requested plans and show their totals side by side.")
    ] = False,
    quiet: options.Quiet = False,
    as_json: options.Json = False,
) -> None:
    """Show ranks, error, MACs and parameters of each layer, or why it stays dense."""
    from gdws import pipeline
    from gdws._util.files import write_atomic

    settings = alphas.settings()
    wanted = plans.recipes(weighted=settings.weighted)
    if not wanted or (len(wanted) > 1 and not compare):
        raise GdwsError(
            f"the options request {len(wanted)} plans",
            hint="give one bound, such as --mean-rank or --mac-saving, once, or several with --compare",
        )
    if compare and out is not None:
        raise GdwsError("--compare does not store plans", hint="use --out without --compare for the plan you choose")
    source = network.open()
    with progress_bar(quiet) as progress:
        weights = pipeline.find_alphas(
            source, settings, lambda count: images.open(source).train.first(count), progress=progress
        )
        _, *variants = pipeline.convert_all(source, wanted, weights=weights, convert_first=plans.convert_first)
    if compare:
        made_plans = {variant.name: variant.plan for variant in variants if variant.plan is not None}
        if as_json:
            print_json(comparison(made_plans))
        else:
            print_comparison(made_plans)
        return
    [made] = variants
    assert made.plan is not None  # the second is the GDWS network
    if out is not None:
        write_atomic(out, made.plan.to_json().encode())
        errors().print(f"wrote {out}", markup=False)
    if as_json:
        print_json(made.plan.to_dict())
    else:
        typer.echo(str(made.plan))
