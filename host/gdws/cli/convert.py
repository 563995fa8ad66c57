"""``gdws convert``"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gdws.cli.options import common as options
from gdws.cli.options.attack import AttackOptions
from gdws.cli.options.images import ImageOptions
from gdws.cli.options.network import NetworkOptions
from gdws.cli.options.recipes import AlphaOptions, Methods, PlanOptions, read_plans
from gdws.cli.views.output import errors, print_json, progress_bar
from gdws.errors import GdwsError

if TYPE_CHECKING:
    from gdws.bundles.packing import PackedVariant
    from gdws.pipeline import Source


def convert(
    out: Annotated[Path, typer.Option("--out", "-o", help="The bundle to write, e.g. model.gdws.")],
    network: NetworkOptions,
    plans: PlanOptions,
    alphas: AlphaOptions,
    images: ImageOptions,
    attack: AttackOptions,
    plan: Annotated[
        list[Path] | None,
        typer.Option("--plan", metavar="FILE", help="A network by a stored plan, under the file's name. Repeatable."),
    ] = None,
    tuned: Annotated[
        list[Path] | None,
        typer.Option("--tuned", metavar="FILE", help="A file that gdws finetune wrote, under its name. Repeatable."),
    ] = None,
    method: Methods = None,
    calibration: options.Calibration = 1024,
    test_images: Annotated[
        int, typer.Option("--images", metavar="N", min=0, help="Evaluate on the first N test images; 0: not at all.")
    ] = 1000,
    verification: Annotated[
        int, typer.Option("--verification", metavar="N", min=1, help="Test images that the device replays.")
    ] = 128,
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

    wanted = plans.recipes(weighted=alphas.given() != 0, methods=method)
    stored = read_plans(plan)
    if not (wanted or stored or tuned):
        raise GdwsError("no GDWS network is asked for", hint="give --mean-rank, --budget, --beta, --plan or --tuned")
    source = network.open()
    spec = attack.spec(images.data, source.task)
    dataset = images.open(source)
    test = f"{dataset.name}, test"
    origin = pipeline.recorded_origin(source, dataset)
    with progress_bar(quiet) as progress:
        weights = None
        if any(recipe.method == "weights" for recipe in wanted):
            weights = alphas.weights(source, dataset.train.first, seed=attack.seed, progress=progress)
        variants = pipeline.convert_fitted(
            source,
            wanted,
            dataset.train.first(calibration),
            spec,
            plans=stored,
            weights=weights,
            convert_first=plans.convert_first,
            progress=progress,
        )
        variants = pipeline.with_tuned(variants, source, tuned or [])
        if test_images:
            tested = dataset.test.first(test_images)
            variants = pipeline.evaluate_all(
                variants, tested, test, spec, task=source.task, origin=origin, progress=progress
            )
        sample = dataset.test.first(verification)
        bundle_id = pipeline.pack(
            out, source, variants, sample, test, spec, origin=origin, description=description, progress=progress
        )
    for doubt in pipeline.evaluation_doubts(source, variants):
        errors().print(f"note: {doubt}", markup=False)
    if as_json:
        print_json({"path": str(out), "id": bundle_id, "variants": [variant.name for variant in variants]})
    else:
        _tell(source, variants, f"{out}: {len(variants)} networks, id {bundle_id}")


def _tell(source: Source, variants: Sequence[PackedVariant], packed: str) -> None:
    from gdws.networks.sparsity import sizes

    for variant in variants:
        if variant.plan is not None and not variant.plan.converted:
            errors().print(f"note: {variant.name} has no layer that GDWS can replace; it is the dense network")
    if sizes(source.module).pruned:
        for variant in variants:
            size = sizes(variant.module)
            typer.echo(f"{variant.name}: {size.mib:.2f} MiB, {size.mib_non_zero:.2f} MiB without zeros")
    typer.echo(packed)
