"""``gdws train``"""

from __future__ import annotations

import json
import shlex
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from gdws.commands import options
from gdws.commands.output import errors, print_json, progress_bar
from gdws.errors import GdwsError


class Optimizer(str, Enum):
    """What :mod:`gdws.train` descends with."""

    sgd = "sgd"
    adam = "adam"


class Schedule(str, Enum):
    """How the learning rate goes, see :func:`gdws.train.learning_rate`."""

    one_cycle = "one-cycle"
    piecewise = "piecewise"


def train(
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the weights go, e.g. net.safetensors.")],
    net: Annotated[str, typer.Option("--net", help="The network: see gdws nets.")] = "mnist-preact-resnet",
    net_option: Annotated[
        list[str] | None, typer.Option("--net-option", metavar="NAME=VALUE", help="E.g. width=16. Repeatable.")
    ] = None,
    data: options.Data = "mnist-sample",
    epochs: Annotated[int, typer.Option("--epochs", help="Passes over the training images.")] = 16,
    batch_size: Annotated[int, typer.Option("--batch-size", help="Images in a step.")] = 64,
    eps: Annotated[float, typer.Option("--eps", help="Radius of the attack trained against; 0: none.")] = 0.2,
    iterations: Annotated[int, typer.Option("--iterations", help="Steps of that attack.")] = 5,
    validation_iterations: Annotated[
        int, typer.Option("--validation-iterations", help="Steps of the attack that chooses the best epoch.")
    ] = 10,
    optimizer: Annotated[Optimizer, typer.Option("--optimizer", help="What descends.")] = Optimizer.sgd,
    learning_rate: Annotated[float, typer.Option("--learning-rate", help="The highest of the schedule.")] = 0.1,
    momentum: Annotated[float, typer.Option("--momentum", help="Of SGD.")] = 0.9,
    weight_decay: Annotated[float, typer.Option("--weight-decay", help="On all weights.")] = 5e-4,
    schedule: Annotated[Schedule, typer.Option("--schedule", help="Of the learning rate.")] = Schedule.one_cycle,
    shift: Annotated[int, typer.Option("--shift", help="Largest random shift of an image, in pixels.")] = 2,
    seed: options.Seed = 0,
    device: Annotated[str, typer.Option("--device", help="Where to train, as torch names it.")] = "cpu",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the unfinished run beside --out.")] = False,
    quiet: options.Quiet = False,
    as_json: options.Json = False,
) -> None:
    """Train a network against PGD and store the weights of its best epoch.

    The best epoch is chosen on a validation split; test images are never looked at. The state of the run is
    kept after each epoch, so that --resume goes on after an interruption to the same weights.

    \b
    Examples:
      gdws train --out net.safetensors
      gdws train --net mnist-preact-resnet --net-option width=16 --epochs 4 --out small.safetensors
      gdws train --out net.safetensors --resume
    """
    from gdws import datasets
    from gdws.train import EpochRecord, TrainSettings, state_path
    from gdws.train import train as train_network

    settings = TrainSettings(
        net=net,
        net_options=dict(_net_option(text) for text in net_option or []),
        epochs=epochs,
        batch_size=batch_size,
        eps=eps,
        iterations=iterations,
        validation_iterations=validation_iterations,
        optimizer=optimizer.value,
        learning_rate=learning_rate,
        momentum=momentum,
        weight_decay=weight_decay,
        schedule=schedule.value,
        shift=shift,
        seed=seed,
    )

    def tell(record: EpochRecord) -> None:
        errors().print(
            f"epoch {record.epoch}: loss {record.loss:.4f}, validation natural {record.natural:.2%}, "
            f"robust {record.robust:.2%}"
        )

    try:
        with progress_bar(quiet) as progress:
            result = train_network(
                settings,
                datasets.load(data, seed=seed),
                out,
                resume=resume,
                device=device,
                command=shlex.join(["gdws", *sys.argv[1:]]),
                progress=progress,
                on_epoch=tell,
            )
    except KeyboardInterrupt:
        if state_path(out).exists():
            errors().print("the finished epochs are kept; go on with the same command and --resume")
        raise
    best = result.best
    if as_json:
        history = [vars(record) for record in result.history]
        print_json({"out": str(result.path), "best": vars(best), "history": history})
    else:
        typer.echo(
            f"{result.path}: epoch {best.epoch} of {len(result.history)}, "
            f"validation natural {best.natural:.2%}, robust {best.robust:.2%}"
        )


def _net_option(text: str) -> tuple[str, Any]:
    """``width=16`` as a name and a value, which is JSON or else text."""
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise GdwsError(f"--net-option {text!r} is not NAME=VALUE", hint="e.g. --net-option width=16")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
