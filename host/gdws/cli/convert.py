"""``gdws convert``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gdws.cli.options import common as options
from gdws.cli.options import network as network_options
from gdws.cli.options.making import alphas_from, channel_weights, read_plans, recipes
from gdws.cli.options.opening import open_data, open_source
from gdws.cli.views.output import errors, print_json, progress_bar
from gdws.errors import GdwsError


def convert(
    out: Annotated[Path, typer.Option("--out", "-o", help="The bundle to write, e.g. model.gdws.")],
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
    plan: Annotated[
        list[Path] | None,
        typer.Option("--plan", metavar="FILE", help="A network by a stored plan, under the file's name. Repeatable."),
    ] = None,
    tuned: Annotated[
        list[Path] | None,
        typer.Option("--tuned", metavar="FILE", help="A file that gdws finetune wrote, under its name. Repeatable."),
    ] = None,
    layout: options.Layouts = None,
    method: options.Methods = None,
    alphas: options.Alphas = "64",
    alphas_by: options.AlphasBy = None,
    calibration: options.Calibration = 1024,
    skip: options.Skip = None,
    convert_first: options.ConvertFirst = False,
    data: options.Data = "mnist-sample",
    data_root: options.DataRoot = None,
    images: Annotated[
        int, typer.Option("--images", metavar="N", min=0, help="Evaluate on the first N test images; 0: not at all.")
    ] = 1000,
    verification: Annotated[
        int, typer.Option("--verification", metavar="N", min=1, help="Test images that the device replays.")
    ] = 128,
    attack: options.Attack = "pgd",
    protocol: options.Protocol = None,
    eps: options.Eps = None,
    step: options.Step = None,
    iterations: options.Iterations = None,
    restarts: options.Restarts = None,
    random_start: options.RandomStart = None,
    seed: options.Seed = 0,
    description: Annotated[str | None, typer.Option("--description", help="A line of text to keep with it.")] = None,
    quiet: options.Quiet = False,
    as_json: options.Json = False,
) -> None:
    """Convert a network in one or more ways, evaluate each, and pack all with the dense one into a bundle.

    Each network gets its natural accuracy and its accuracy under an attack made for it (white-box). The
    bundle is what gdws bench sends to a device.

    \b
    Examples:
      gdws convert mnist-preact-resnet --mean-rank 3 --mean-rank 5 --out model.gdws
      gdws convert mnist-preact-resnet --method data-aware --mac-saving 4 --layout stacked --out model.gdws
      gdws convert net.safetensors --beta 0.05 --alphas 128 --out model.gdws
      gdws convert net.safetensors --mean-rank 2 --layout gather --layout stacked --out model.gdws
      gdws convert model_best.pth --net preact-resnet18 --alphas alphas.pth --beta 0.005 --data cifar10 \
        --data-root datasets --out model.gdws
      gdws convert pruned.pth.tar --net vgg16-hydra --kept 0.01 --slim --data cifar10 --beta 0.02 --out model.gdws
      gdws convert --onnx model.onnx --data imagenet --mean-rank 3 --out model.gdws
      gdws convert weights.pth --module package.module:factory --input-shape 3,32,32 --data cifar10 --beta 0.01 \
        --out model.gdws
      gdws convert --onnx model.onnx --data random --attack none --mean-rank 3 --out model.gdws
    """
    from gdws import pipeline
    from gdws.networks.sparsity import sizes

    spec = options.attack_spec(
        attack,
        protocol,
        data,
        eps=eps,
        step=step,
        iterations=iterations,
        restarts=restarts,
        random_start=random_start,
        seed=seed,
    )
    alphas_given = alphas_from(alphas)
    wanted = recipes(
        mean_rank,
        beta,
        gamma,
        layout,
        budgets=budget,
        mac_savings=mac_saving,
        equal_ranks=equal_rank,
        methods=method,
        weighted=alphas_given != 0,
        skip=skip,
    )
    plans = read_plans(plan)
    if not (wanted or plans or tuned):
        raise GdwsError("no GDWS network is asked for", hint="give --mean-rank, --budget, --beta, --plan or --tuned")
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
    dataset = open_data(source, data, data_root)
    test = f"{dataset.name}, test"
    with progress_bar(quiet) as progress:
        weights, fitted_to = None, None
        methods = {recipe.method for recipe in wanted}
        if "weights" in methods:
            weights = channel_weights(
                source,
                alphas_given,
                dataset.train.first,
                method=None if alphas_by is None else alphas_by.value,
                seed=seed,
                progress=progress,
            )
        if "data-aware" in methods | {given.method for given in plans.values()}:
            sample = dataset.train.first(calibration)
            fitted_to = pipeline.calibration_images(source, sample, spec, progress=progress)
        variants = pipeline.convert_all(
            source,
            wanted,
            plans=plans,
            weights=weights,
            data=fitted_to,
            convert_first=convert_first,
            progress=progress,
        )
        variants = pipeline.with_tuned(variants, source, tuned or [])
        if images:
            variants = pipeline.evaluate_all(variants, dataset.test.first(images), test, spec, progress=progress)
        bundle_id = pipeline.pack(
            out,
            source,
            variants,
            dataset.test.first(verification),
            test,
            spec,
            description=description,
            progress=progress,
        )
    for doubt in pipeline.evaluation_doubts(source, variants):
        errors().print(f"note: {doubt}", markup=False)
    if as_json:
        print_json({"path": str(out), "id": bundle_id, "variants": [variant.name for variant in variants]})
        return
    for variant in variants:
        if variant.plan is not None and not variant.plan.converted:
            errors().print(f"note: {variant.name} has no layer that GDWS can replace; it is the dense network")
    if sizes(source.module).pruned:
        for variant in variants:
            size = sizes(variant.module)
            typer.echo(f"{variant.name}: {size.mib:.2f} MiB, {size.mib_non_zero:.2f} MiB without zeros")
    typer.echo(f"{out}: {len(variants)} networks, id {bundle_id}")
