"""Train a network adversarially with PGD and store the weights of its best epoch.

A preset is a complete recipe; options override its values.

\b
  preset              data           network                epochs  attack             SGD: rate, schedule
  mnist               mnist-sample   mnist-preact-resnet        16  PGD-5,  eps 0.2    0.1,  one cycle
  fashion-mnist-fast  fashion-mnist  mnist-preact-resnet18      12  PGD-1,  eps 0.1    0.1,  one cycle
  cifar10-rice        cifar10        preact-resnet18           200  PGD-10, eps 8/255  0.1,  /10 at 100 and 150
  svhn-rice           svhn           preact-resnet18           200  PGD-10, eps 8/255  0.01, /10 at 100 and 150

PGD-1 is fast adversarial training (Wong et al., 2020): one step of 1.25 eps from a random start. It needs one
gradient instead of five or ten, at the risk that the network resists that single step only. Validation uses more
steps, which reveals it.

Robust accuracy drops again late in a long run (robust overfitting). So each epoch is evaluated on a validation split,
and the weights of the best are stored; test images are not used. The state of the run is saved after each epoch, and
a run resumed with --resume ends with the same weights as an uninterrupted one.

With torchrun several processes share each batch, one for each GPU with --device cuda. The result is that of a single
process, up to rounding; but on CPUs, batch normalisation is over the images of each process.

\b
Examples:
  gdws train --out net.safetensors
  gdws train --net mnist-wrn --epochs 8 --out wrn.safetensors
  gdws train --preset fashion-mnist-fast --precision bf16 --out resnet18.safetensors
  gdws train --preset cifar10-rice --device cuda --out resnet18.safetensors
  torchrun --nproc-per-node 4 -m gdws train --preset cifar10-rice --device cuda --out resnet18.safetensors
  gdws train net.safetensors --prune filters:0.5 --epochs 4 --learning-rate 0.02 --out pruned.safetensors
  gdws train --out net.safetensors --resume
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gdws.cli.options import common as options
from gdws.cli.options.images import ImageOptions
from gdws.cli.options.network import NetworkOptions, named_values
from gdws.cli.options.training import RunOptions, TrainOptions, accuracies, command_line, epochs_told
from gdws.cli.views.output import print_json

if TYPE_CHECKING:
    from gdws.training import Preset

PresetName = Annotated[
    Literal["mnist", "fashion-mnist-fast", "cifar10-rice", "svhn-rice"],
    typer.Option("--preset", help="The recipe: data, network and all settings. Options override it."),
]


@dataclass(frozen=True)
class PresetImageOptions(ImageOptions):
    """The same, with the preset's data set as the default."""

    data: Annotated[
        str,
        typer.Option("--data", metavar="NAME|PATH", help="As for gdws convert. Default: the preset's data set."),
    ] = ""

    def of(self, preset: Preset) -> ImageOptions:
        """The images of the options, or those of ``preset``."""
        return replace(self, data=self.data or preset.data)


def train(
    *,
    network: NetworkOptions,
    out: Annotated[Path, typer.Option("--out", "-o", help="File for the weights, e.g. net.safetensors.")],
    preset: PresetName = "mnist",
    training: TrainOptions,
    run: RunOptions,
    images: PresetImageOptions,
    as_json: options.Json = False,
) -> None:
    """Train a network adversarially with PGD and store the weights of its best epoch."""
    from gdws.training import PRESETS, fresh
    from gdws.training import train as train_network

    recipe, source = PRESETS[preset], None
    with run.processes(out) as (workers, progress):
        if network.names_one:
            source = network.open()
            settings = training.settings(recipe, source.name, {})
        else:
            settings = training.settings(recipe, network.net, named_values(network.net_option, "--net-option"))
        result = train_network(
            settings,
            images.of(recipe).open(source or fresh(settings), seed=training.seed),
            out,
            source=source,
            resume=run.resume,
            workers=workers,
            command=command_line(),
            progress=progress,
            on_epoch=epochs_told() if workers.leads else None,
        )
    if not workers.leads:
        return
    best, count = result.best, len(result.history)
    if as_json:
        history = [vars(record) for record in result.history]
        print_json({"out": str(result.path), "best": vars(best), "history": history})
    else:
        typer.echo(f"{result.path}: epoch {best.epoch} of {count}, {accuracies(best)}")
