"""``gdws plan``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gdws.cli.options import common as options
from gdws.cli.options import network as network_options
from gdws.cli.options.making import alphas_from, channel_weights, recipes
from gdws.cli.options.opening import open_data, open_source
from gdws.cli.views.output import errors, print_json, progress_bar
from gdws.cli.views.plan_comparison import comparison, print_comparison
from gdws.errors import GdwsError


def plan(
    checkpoint: network_options.Checkpoint = None,
    net: network_options.Net = None,
    net_option: network_options.NetOptions = None,
    family: network_options.Family = None,
    kept: network_options.Kept = None,
    prefix: network_options.Prefix = None,
    normalisation: network_options.Normalisation = None,
    onnx: network_options.Onnx = None,
    module: network_options.Module = None,
    module_option: network_options.ModuleOptions = None,
    input_shape: network_options.InputShape = None,
    output: network_options.Output = None,
    slim: network_options.Slim = False,
    mean_rank: options.MeanRanks = None,
    beta: options.Betas = None,
    gamma: options.Gammas = None,
    budget: options.Budgets = None,
    mac_saving: options.MacSavings = None,
    equal_rank: options.EqualRanks = None,
    layout: options.Layouts = None,
    alphas: options.Alphas = "0",
    alphas_by: options.AlphasBy = None,
    skip: options.Skip = None,
    convert_first: options.ConvertFirst = False,
    data: options.Data = "mnist-sample",
    data_root: options.DataRoot = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Store the plan as JSON too.")] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Make every plan that is asked for, and show their totals side by side.")
    ] = False,
    quiet: options.Quiet = False,
    as_json: options.Json = False,
) -> None:
    """Show what would become of each layer: ranks, error, MACs, parameters, or why it stays as it is.

    Ranks follow from one bound. --beta bounds the error e^2 of each layer by itself, as in the paper; --budget
    bounds its sum over all layers and spends it where it saves most; --mean-rank and --gamma bound the cost of each
    layer, --mac-saving that of the network; --equal-rank is the same rank everywhere, a baseline. With --compare give
    as many as you like.

    \b
    Examples:
      gdws plan mnist-preact-resnet --mean-rank 3
      gdws plan net.safetensors --beta 0.05 --alphas 64 --out plan.json
      gdws plan net.safetensors --mean-rank 2 --layout stacked --skip 'layer4.*'
      gdws plan net.safetensors --compare --alphas 64 --beta 0.01 --budget 0.1 --equal-rank 3
    """
    from gdws import pipeline
    from gdws._util.files import write_atomic

    alphas_given = alphas_from(alphas)
    wanted = recipes(
        mean_rank,
        beta,
        gamma,
        layout,
        budgets=budget,
        mac_savings=mac_saving,
        equal_ranks=equal_rank,
        weighted=alphas_given != 0,
        skip=skip,
    )
    if not wanted or (len(wanted) > 1 and not compare):
        raise GdwsError(
            f"{len(wanted)} plans are asked for",
            hint="give one bound, such as --mean-rank or --mac-saving, once, or several with --compare",
        )
    if compare and out is not None:
        raise GdwsError("--compare stores no plan", hint="make the plan that you choose with --out alone")
    source = open_source(
        checkpoint,
        net,
        family=family,
        kept=kept,
        prefix=prefix,
        normalisation=normalisation,
        net_options=net_option,
        onnx=onnx,
        module=module,
        module_options=module_option,
        input_shape=input_shape,
        output=output,
        slim=slim,
    )
    with progress_bar(quiet) as progress:
        weights = channel_weights(
            source,
            alphas_given,
            lambda count: open_data(source, data, data_root).train.first(count),
            method=None if alphas_by is None else alphas_by.value,
            progress=progress,
        )
        _, *variants = pipeline.convert_all(source, wanted, weights=weights, convert_first=convert_first)
    if compare:
        plans = {variant.name: variant.plan for variant in variants if variant.plan is not None}
        if as_json:
            print_json(comparison(plans))
        else:
            print_comparison(plans)
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
