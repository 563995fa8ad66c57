"""Convert a network in one or more ways, evaluate each, and pack them with the dense one into a bundle.

Each network is evaluated for natural accuracy and for accuracy under a white-box attack. gdws bench sends the bundle
to a device.

\b
Examples:
  gdws convert mnist-preact-resnet --mean-rank 3 --mean-rank 5 --out model.gdws
  gdws convert mnist-preact-resnet --method data-aware --mac-saving 4 --layout stacked --out model.gdws
  gdws convert mnist-preact-resnet --method data-aware --mean-rank 1 --layout stacked --distill 240 \\
    --int8 onnxruntime --out model.gdws
  gdws convert net.safetensors --beta 0.05 --alphas 128 --out model.gdws
  gdws convert net.safetensors --mean-rank 2 --layout gather --layout stacked --out model.gdws
  gdws convert model_best.pth --net preact-resnet18 --alphas alphas.pth --beta 0.005 --data cifar10 \\
    --data-root datasets --out model.gdws
  gdws convert pruned.pth.tar --net vgg16-hydra --kept 0.01 --slim --data cifar10 --beta 0.02 --out model.gdws
  gdws convert --onnx model.onnx --data imagenet --mean-rank 3 --out model.gdws
  gdws convert weights.pth --module package.module:factory --input-shape 3,32,32 --data cifar10 --beta 0.01 \\
    --out model.gdws
  gdws convert --onnx model.onnx --data random --attack none --mean-rank 3 --out model.gdws
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gdws.cli.options import common as options
from gdws.cli.options.after import AfterOptions
from gdws.cli.options.attack import AttackOptions
from gdws.cli.options.images import ImageOptions
from gdws.cli.options.network import NetworkOptions
from gdws.cli.options.recipes import AlphaOptions, Methods, PlanFiles, PlanOptions, read_plans
from gdws.cli.views.output import errors, print_json, print_line, progress_bar

if TYPE_CHECKING:
    from gdws.pipeline import MadeBundle, Source


def convert(
    out: Annotated[Path, typer.Option("--out", "-o", help="The bundle to write, e.g. model.gdws.")],
    network: NetworkOptions,
    plans: PlanOptions,
    alphas: AlphaOptions,
    after: AfterOptions,
    images: ImageOptions,
    attack: AttackOptions,
    plan: PlanFiles = None,
    tuned: Annotated[
        list[Path] | None,
        typer.Option(
            "--tuned", metavar="FILE", help="A file written by gdws finetune, added under its name. Repeatable."
        ),
    ] = None,
    method: Methods = None,
    calibration: options.Calibration = 1024,
    test_images: Annotated[
        int, typer.Option("--images", metavar="N", min=0, help="Evaluate on the first N test images; 0: no evaluation.")
    ] = 1000,
    verification: Annotated[
        int, typer.Option("--verification", metavar="N", min=1, help="Test images that the device replays.")
    ] = 128,
    description: Annotated[
        str | None, typer.Option("--description", help="A line of text to store in the bundle.")
    ] = None,
    quiet: options.Quiet = False,
    as_json: options.Json = False,
) -> None:
    """Convert a network in one or more ways, evaluate each, and pack them with the dense one into a bundle."""
    from gdws import pipeline

    source = network.open()
    weigh_by = alphas.settings(seed=attack.seed)
    against = attack.spec(images.data, source.task)
    settings = pipeline.BundleSettings(
        recipes=tuple(plans.recipes(weighted=weigh_by.weighted, methods=method)),
        plans=read_plans(plan),
        tuned=tuple(tuned or ()),
        convert_first=plans.convert_first,
        alphas=weigh_by,
        attack=against,
        distill=after.distillation(against, seed=attack.seed),
        int8=after.quantisation(),
        calibration=calibration,
        test=test_images,
        verification=verification,
        description=description,
    )
    with progress_bar(quiet) as progress:
        made = pipeline.make_bundle(out, source, images.open(source), settings, progress=progress)
    for note in made.notes:
        errors().print(f"note: {note}", markup=False)
    if as_json:
        print_json(_as_json(out, made))
    else:
        _print_sizes(source, made)
        for line in _found(made):
            print_line(line)
        typer.echo(f"{out}: {len(made.variants)} networks, id {made.id}")


def _as_json(out: Path, made: MadeBundle) -> dict[str, object]:
    evaluated = {each.name: each.evaluation.metrics for each in made.variants if each.evaluation is not None}
    metrics = {name: {key: value.model_dump() for key, value in found.items()} for name, found in evaluated.items()}
    return {"path": str(out), "id": made.id, "variants": [each.name for each in made.variants], "metrics": metrics}


def _found(made: MadeBundle) -> Iterator[str]:
    """A line on each network that was evaluated, in the words of its task."""
    from gdws_contract.findings.metrics import summary

    for variant in made.variants:
        if variant.evaluation is not None:
            yield f"{variant.name}: {', '.join(summary(variant.evaluation))}"


def _print_sizes(source: Source, made: MadeBundle) -> None:
    """Print the sizes of a pruned network's variants with and without zeros."""
    from gdws.networks.sparsity import sizes

    if sizes(source.module).pruned:
        for variant in made.variants:
            size = sizes(variant.module)
            typer.echo(f"{variant.name}: {size.mib:.2f} MiB, {size.mib_non_zero:.2f} MiB without zeros")
