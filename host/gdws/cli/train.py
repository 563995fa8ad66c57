"""``gdws train``"""

from __future__ import annotations

import dataclasses
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from gdws.cli.options import common as options
from gdws.cli.options.epochs import Resume, TrainingDevice, command_line, tell, training_run
from gdws.cli.options.opening import named_values
from gdws.cli.views.output import print_json


class PresetName(str, Enum):
    """The names of :data:`gdws.training.PRESETS`."""

    mnist = "mnist"
    fashion_mnist_fast = "fashion-mnist-fast"
    cifar10_rice = "cifar10-rice"
    svhn_rice = "svhn-rice"


class Optimizer(str, Enum):
    """What :mod:`gdws.training` descends with."""

    sgd = "sgd"
    adam = "adam"


class Schedule(str, Enum):
    """How the learning rate goes, see :func:`gdws.training.learning_rate`."""

    one_cycle = "one-cycle"
    piecewise = "piecewise"


class Precision(str, Enum):
    """What passes run in, see :class:`gdws.training.TrainSettings`."""

    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"


def train(
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the weights go, e.g. net.safetensors.")],
    preset: Annotated[
        PresetName, typer.Option("--preset", help="The recipe: data, network and all that follows. Options change it.")
    ] = PresetName.mnist,
    net: Annotated[str | None, typer.Option("--net", metavar="NAME", help="The network: see gdws nets.")] = None,
    net_option: Annotated[
        list[str] | None, typer.Option("--net-option", metavar="NAME=VALUE", help="E.g. width=16. Repeatable.")
    ] = None,
    data: Annotated[str | None, typer.Option("--data", metavar="NAME", help="Data set for images.")] = None,
    data_root: options.DataRoot = None,
    epochs: Annotated[int | None, typer.Option("--epochs", help="Passes over the training images.")] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", help="Images in a step, over all processes.")
    ] = None,
    eps: Annotated[float | None, typer.Option("--eps", help="Radius of the attack trained against; 0: none.")] = None,
    step: Annotated[
        float | None, typer.Option("--step", help="Step size of that attack. Default: 2.5 * eps / iterations.")
    ] = None,
    iterations: Annotated[int | None, typer.Option("--iterations", help="Steps of that attack.")] = None,
    validation_iterations: Annotated[
        int | None,
        typer.Option("--validation-iterations", help="Steps of the attack that chooses the best epoch."),
    ] = None,
    validation_images: Annotated[
        int | None,
        typer.Option("--validation-images", help="Validation images that judge an epoch."),
    ] = None,
    optimizer: Annotated[Optimizer | None, typer.Option("--optimizer", help="What descends.")] = None,
    learning_rate: Annotated[float | None, typer.Option("--learning-rate", help="The highest of the schedule.")] = None,
    momentum: Annotated[float | None, typer.Option("--momentum", help="Of SGD.")] = None,
    weight_decay: Annotated[float | None, typer.Option("--weight-decay", help="On all weights.")] = None,
    schedule: Annotated[Schedule | None, typer.Option("--schedule", help="Of the learning rate.")] = None,
    shift: Annotated[
        int | None, typer.Option("--shift", help="Largest random shift of an image, in pixels (random crop).")
    ] = None,
    flip: Annotated[bool | None, typer.Option("--flip/--no-flip", help="Mirror images at random.")] = None,
    precision: Annotated[
        Precision | None,
        typer.Option("--precision", help="bf16: mixed precision; auto: that, on GPUs that have it."),
    ] = None,
    seed: options.Seed = 0,
    device: TrainingDevice = "cpu",
    resume: Resume = False,
    quiet: options.Quiet = False,
    as_json: options.Json = False,
) -> None:
    """Train a network against PGD and store the weights of its best epoch.

    A preset is a whole recipe; each option that is given takes the place of the preset's value.

    \b
      preset              data           network                epochs  attack             SGD: rate, schedule
      mnist               mnist-sample   mnist-preact-resnet        16  PGD-5,  eps 0.2    0.1,  one cycle
      fashion-mnist-fast  fashion-mnist  mnist-preact-resnet18      12  PGD-1,  eps 0.1    0.1,  one cycle
      cifar10-rice        cifar10        preact-resnet18           200  PGD-10, eps 8/255  0.1,  /10 at 100 and 150
      svhn-rice           svhn           preact-resnet18           200  PGD-10, eps 8/255  0.01, /10 at 100 and 150

    PGD-1 is fast adversarial training (Wong et al., 2020): one step of 1.25 eps from a random start. It costs one
    gradient in place of five or ten, at the risk that a network learns to resist the one step alone. Epochs are judged
    against more steps, which shows it.

    Robust accuracy falls again late in a long run (robust overfitting). So each epoch is judged on a validation split,
    and the weights of the best are stored; test images are never looked at. The state of the run is kept after each
    epoch, so that --resume goes on after an interruption to the same weights.

    With torchrun several processes share each batch, one for each GPU with --device cuda. They give what one process
    gives, up to rounding; but on CPUs, batch normalisation is over the images of each process.

    \b
    Examples:
      gdws train --out net.safetensors
      gdws train --net mnist-wrn --epochs 8 --out wrn.safetensors
      gdws train --preset fashion-mnist-fast --precision bf16 --out resnet18.safetensors
      gdws train --preset cifar10-rice --device cuda --out resnet18.safetensors
      torchrun --nproc-per-node 4 -m gdws train --preset cifar10-rice --device cuda --out resnet18.safetensors
      gdws train --out net.safetensors --resume
    """
    from gdws import datasets
    from gdws.training import PRESETS
    from gdws.training import train as train_network

    given: dict[str, Any] = {
        "net": net,
        "net_options": named_values(net_option, "--net-option") or None,
        "epochs": epochs,
        "batch_size": batch_size,
        "eps": eps,
        "step": step,
        "iterations": iterations,
        "validation_iterations": validation_iterations,
        "validation_images": validation_images,
        "optimizer": _value(optimizer),
        "learning_rate": learning_rate,
        "momentum": momentum,
        "weight_decay": weight_decay,
        "schedule": _value(schedule),
        "shift": shift,
        "flip": flip,
        "precision": _value(precision),
        "seed": seed,
    }
    recipe = PRESETS[preset.value]
    if step is None and (eps is not None or iterations is not None):
        recipe = dataclasses.replace(recipe, settings=dataclasses.replace(recipe.settings, step=None))
    changed = {name: value for name, value in given.items() if value is not None}
    settings = dataclasses.replace(recipe.settings, **changed)
    with training_run(device, quiet, out) as (workers, progress):
        result = train_network(
            settings,
            datasets.load(data or recipe.data, seed=seed, root=data_root),
            out,
            resume=resume,
            workers=workers,
            command=command_line(),
            progress=progress,
            on_epoch=tell if workers.leads else None,
        )
    best = result.best
    if not workers.leads:
        return
    if as_json:
        history = [vars(record) for record in result.history]
        print_json({"out": str(result.path), "best": vars(best), "history": history})
    else:
        typer.echo(
            f"{result.path}: epoch {best.epoch} of {len(result.history)}, "
            f"validation natural {best.natural:.2%}, robust {best.robust:.2%}"
        )


def _value(choice: Enum | None) -> str | None:
    return None if choice is None else choice.value
