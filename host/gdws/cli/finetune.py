"""``gdws finetune``"""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gdws.cli.options import common as options
from gdws.cli.options import network as network_options
from gdws.cli.options.epochs import Resume, TrainingDevice, command_line, tell, training_run
from gdws.cli.options.making import read_plans
from gdws.cli.options.opening import open_source
from gdws.cli.views.output import errors, print_json
from gdws.errors import GdwsError

if TYPE_CHECKING:
    from torch import nn

    from gdws._util.progress import Progress
    from gdws.algorithms.plan import Layout, Plan
    from gdws.datasets import Split
    from gdws.evaluation.attacks import AttackSpec
    from gdws.pipeline import Source


class BatchNorm(str, Enum):
    """What images are normalised by, see :class:`gdws.training.FinetuneSettings`."""

    batch = "batch"
    fixed = "fixed"


def finetune(
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
    net: network_options.Net = None,
    net_option: network_options.NetOptions = None,
    family: network_options.Family = None,
    kept: network_options.Kept = None,
    prefix: network_options.Prefix = None,
    normalisation: network_options.Normalisation = None,
    mean_rank: Annotated[
        float | None,
        typer.Option("--mean-rank", metavar="G/C", help="Convert to this mean rank in each layer first, data-aware."),
    ] = None,
    layout: Annotated[
        options.LayoutName, typer.Option("--layout", help="How the layers of --mean-rank run.")
    ] = options.LayoutName.gather,
    plan: Annotated[Path | None, typer.Option("--plan", metavar="FILE", help="Convert by this plan first.")] = None,
    calibration: options.Calibration = 1024,
    data: options.Data = "mnist-sample",
    data_root: options.DataRoot = None,
    epochs: Annotated[int, typer.Option("--epochs", help="At most so many passes over the training images.")] = 2,
    batch_size: Annotated[int, typer.Option("--batch-size", help="Images in a step, over all processes.")] = 64,
    eps: Annotated[float, typer.Option("--eps", help="Radius of the attack trained against; 0: none.")] = 0.2,
    iterations: Annotated[int, typer.Option("--iterations", help="Steps of that attack, of 2.5 * eps / steps.")] = 5,
    validation_iterations: Annotated[
        int, typer.Option("--validation-iterations", help="Steps of the attack that chooses the epoch.")
    ] = 20,
    learning_rate: Annotated[float, typer.Option("--learning-rate", help="The highest, of Adam.")] = 3e-4,
    shift: Annotated[int, typer.Option("--shift", help="Largest random shift of an image, in pixels.")] = 2,
    flip: Annotated[bool, typer.Option("--flip/--no-flip", help="Mirror images at random.")] = False,
    batch_norm: Annotated[
        BatchNorm,
        typer.Option("--batch-norm", help="Normalise by each batch, as in training, or by fixed statistics."),
    ] = BatchNorm.batch,
    seed: options.Seed = 0,
    device: TrainingDevice = "cpu",
    resume: Resume = False,
    quiet: options.Quiet = False,
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
    from gdws import datasets
    from gdws.evaluation.attacks import AttackSpec
    from gdws.networks import converted
    from gdws.training import FinetuneSettings
    from gdws.training import finetune as finetune_network

    settings = FinetuneSettings(
        epochs=epochs,
        batch_size=batch_size,
        eps=eps,
        iterations=iterations,
        validation_iterations=validation_iterations,
        learning_rate=learning_rate,
        shift=shift,
        flip=flip,
        batch_norm=batch_norm.value,
        seed=seed,
    )
    dataset = datasets.load(data, seed=seed, root=data_root)
    with training_run(device, quiet, out) as (workers, progress):
        found = converted.find(network, variant)
        if found is not None:
            _refuse(network, "is converted already", mean_rank=mean_rank, plan=plan, net=net)
            start, its_plan, provenance = found.module, found.plan, dict(found.metadata)
        else:
            _refuse(network, "is no bundle", variant=variant)
            source = open_source(
                network,
                net,
                family=family,
                kept=kept,
                prefix=prefix,
                normalisation=normalisation,
                net_options=net_option,
            )
            attack = AttackSpec(eps=eps, seed=seed) if eps > 0 else None
            sample = dataset.train.first(calibration)
            start, its_plan = _convert(source, mean_rank, layout.value, plan, sample, attack, progress)
            provenance = dict(source.provenance)
        result = finetune_network(
            start,
            dataset,
            settings,
            plan=its_plan,
            provenance=provenance,
            out=out,
            resume=resume,
            workers=workers,
            command=command_line(),
            progress=progress,
            on_epoch=tell if workers.leads else None,
        )
    if not workers.leads:
        return
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


def _convert(
    source: Source,
    mean_rank: float | None,
    layout: Layout,
    plan: Path | None,
    sample: Split,
    attack: AttackSpec | None,
    progress: Progress,
) -> tuple[nn.Module, Plan]:
    """The GDWS network of one recipe or one stored plan; ``sample`` under ``attack`` is what it is fitted to."""
    from gdws import pipeline
    from gdws.pipeline import Recipe

    if (mean_rank is None) == (plan is None):
        raise GdwsError(f"{source.name} is a dense network", hint="convert it first: give --mean-rank or --plan")
    plans = read_plans(None if plan is None else [plan])
    recipes = [] if mean_rank is None else [Recipe(mean_rank=mean_rank, layout=layout, method="data-aware")]
    fitted_to = None
    if recipes or any(given.method == "data-aware" for given in plans.values()):
        fitted_to = pipeline.calibration_images(source, sample, attack, progress=progress)
    [_, made] = pipeline.convert_all(source, recipes, plans=plans, data=fitted_to, progress=progress)
    assert made.plan is not None
    return made.module, made.plan
