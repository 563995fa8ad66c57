"""Options for training networks, from scratch or after conversion."""

from __future__ import annotations

import contextlib
import dataclasses
import shlex
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from gdws.cli.options.common import Calibration, Quiet, Seed
from gdws.cli.options.recipes import read_plans
from gdws.cli.views.output import errors, progress_bar
from gdws.errors import GdwsError
from gdws.planning.budget import MeanRank
from gdws.planning.recipe import Recipe

if TYPE_CHECKING:
    from gdws._util.distributed import Workers
    from gdws._util.progress import Progress
    from gdws.training import EpochRecord, FinetuneSettings, Preset, TrainSettings
    from gdws_contract.plan import Plan


ComputeDevice = Annotated[
    str,
    typer.Option("--device", metavar="cpu|cuda", help="The torch device; cuda: one GPU for each process."),
]


@contextlib.contextmanager
def processes(device: str, quiet: bool, state: Path | None, advice: str) -> Iterator[tuple[Workers, Progress]]:
    """The processes that torchrun started, or this one alone, and a progress bar in the leading one.

    After an interrupt ``advice`` is printed if there is a ``state`` to resume from.
    """
    from gdws._util.distributed import launched

    with launched(device) as workers:
        try:
            with progress_bar(quiet or not workers.leads) as progress:
                yield workers, progress
        except KeyboardInterrupt:
            if workers.leads and state is not None and state.exists():
                errors().print(advice)
            raise


@dataclass(frozen=True)
class RunOptions:
    """Where training runs, and whether it is resumed."""

    device: ComputeDevice = "cpu"
    resume: Annotated[bool, typer.Option("--resume", help="Resume the unfinished run of --out.")] = False
    quiet: Quiet = False

    def processes(self, out: Path) -> contextlib.AbstractContextManager[tuple[Workers, Progress]]:
        """:func:`processes`, for a run that writes to ``out``."""
        from gdws.training import state_path

        advice = "the finished epochs are kept; repeat the command with --resume"
        return processes(self.device, self.quiet, state_path(out), advice)


@dataclass(frozen=True)
class TrainOptions:
    """Options that override the preset."""

    epochs: Annotated[int | None, typer.Option("--epochs", help="Passes over the training images.")] = None
    batch_size: Annotated[int | None, typer.Option("--batch-size", help="Images in a step, over all processes.")] = None
    eps: Annotated[float | None, typer.Option("--eps", help="Radius of the attack in training; 0: no attack.")] = None
    step: Annotated[
        float | None,
        typer.Option("--step", help="Step size of the attack in training. Default: 2.5 * eps / iterations."),
    ] = None
    iterations: Annotated[int | None, typer.Option("--iterations", help="Steps of the attack in training.")] = None
    validation_iterations: Annotated[
        int | None,
        typer.Option(
            "--validation-iterations", help="Steps of the attack in validation, which selects the best epoch."
        ),
    ] = None
    validation_images: Annotated[
        int | None, typer.Option("--validation-images", help="Number of validation images.")
    ] = None
    optimizer: Annotated[Literal["sgd", "adam"] | None, typer.Option("--optimizer", help="The optimizer.")] = None
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", help="Peak learning rate of the schedule.")
    ] = None
    momentum: Annotated[float | None, typer.Option("--momentum", help="Of SGD.")] = None
    weight_decay: Annotated[float | None, typer.Option("--weight-decay", help="Applied to all weights.")] = None
    schedule: Annotated[
        Literal["one-cycle", "piecewise"] | None, typer.Option("--schedule", help="Learning rate schedule.")
    ] = None
    shift: Annotated[
        int | None, typer.Option("--shift", help="Largest random shift of an image, in pixels (random crop).")
    ] = None
    flip: Annotated[bool | None, typer.Option("--flip/--no-flip", help="Mirror images at random.")] = None
    precision: Annotated[
        Literal["auto", "fp32", "bf16"] | None,
        typer.Option("--precision", help="bf16: mixed precision; auto: bf16 on GPUs that support it."),
    ] = None
    prune: Annotated[
        str | None,
        typer.Option(
            "--prune",
            metavar="filters|weights:SHARE",
            help="First set that share of the filters or weights of each convolution of CHECKPOINT, but of the first, "
            "to zero, the smallest of each, and keep them there, e.g. filters:0.5 or weights:0.95.",
        ),
    ] = None
    seed: Seed = 0

    def settings(self, preset: Preset, net: str | None, net_options: dict[str, Any]) -> TrainSettings:
        """The settings of ``preset``, overridden by the options, for the network ``net`` if one is named.

        Raises :class:`~gdws.errors.GdwsError`.
        """
        from gdws.training import Pruning

        given = {**dataclasses.asdict(self), "net": net, "net_options": net_options or None}
        pruning = given.pop("prune")
        given["pruning"] = None if pruning is None else Pruning.parse(pruning)
        base = preset.settings
        if self.step is None and (self.eps is not None or self.iterations is not None):
            base = dataclasses.replace(base, step=None)
        return dataclasses.replace(base, **{name: value for name, value in given.items() if value is not None})


@dataclass(frozen=True)
class FinetuneOptions:
    """Settings of fine-tuning."""

    epochs: Annotated[int, typer.Option("--epochs", help="Maximum passes over the training images.")] = 2
    batch_size: Annotated[int, typer.Option("--batch-size", help="Images in a step, over all processes.")] = 64
    eps: Annotated[float, typer.Option("--eps", help="Radius of the attack in training; 0: no attack.")] = 0.2
    iterations: Annotated[int, typer.Option("--iterations", help="Steps of that attack, of size 2.5 * eps / N.")] = 5
    validation_iterations: Annotated[
        int, typer.Option("--validation-iterations", help="Steps of the attack in validation, which selects the epoch.")
    ] = 20
    learning_rate: Annotated[float, typer.Option("--learning-rate", help="Peak learning rate of Adam.")] = 3e-4
    shift: Annotated[int, typer.Option("--shift", help="Largest random shift of an image, in pixels.")] = 2
    flip: Annotated[bool, typer.Option("--flip/--no-flip", help="Mirror images at random.")] = False
    batch_norm: Annotated[
        Literal["batch", "fixed"],
        typer.Option("--batch-norm", help="Batch normalisation with batch statistics, or with fixed ones."),
    ] = "batch"
    seed: Seed = 0

    def settings(self) -> FinetuneSettings:
        """The settings for ``gdws.training``. Raises :class:`~gdws.errors.GdwsError`."""
        from gdws.training import FinetuneSettings

        return FinetuneSettings(**dataclasses.asdict(self))


@dataclass(frozen=True)
class StartOptions:
    """How a dense network is converted before it is fine-tuned."""

    mean_rank: Annotated[
        float | None,
        typer.Option("--mean-rank", metavar="G/C", help="Convert to this mean rank in each layer first, data-aware."),
    ] = None
    layout: Annotated[
        Literal["gather", "stacked", "grouped"], typer.Option("--layout", help="Layout of the layers of --mean-rank.")
    ] = "gather"
    plan: Annotated[Path | None, typer.Option("--plan", metavar="FILE", help="Convert by this plan first.")] = None
    calibration: Calibration = 1024

    def recipe(self) -> Recipe | Plan | None:
        """How to convert the network, if at all. Raises :class:`~gdws.errors.GdwsError` if both options are given."""
        if self.mean_rank is None:
            return next(iter(read_plans([self.plan]).values())) if self.plan is not None else None
        if self.plan is not None:
            raise GdwsError("--mean-rank and --plan exclude each other", hint="leave out one of them")
        return Recipe(MeanRank(self.mean_rank), self.layout, method="data-aware")


def epochs_told() -> Callable[[EpochRecord], None]:
    """What prints a line about each epoch to standard error, and a warning where training goes wrong."""
    best: EpochRecord | None = None

    def tell(record: EpochRecord) -> None:
        nonlocal best
        loss = "" if record.loss is None else f"loss {record.loss:.4f}, "
        errors().print(f"epoch {record.epoch}: {loss}{accuracies(record)}", style="dim")
        if best is not None and record.has_overfitted_since(best):
            errors().print(
                f"since epoch {best.epoch} robust accuracy collapsed and natural accuracy did not: the network has "
                "overfitted to the attack of training (catastrophic overfitting). The weights of the best epoch are "
                "kept; more steps of the attack in training (--iterations) prevent it"
            )
        if best is None or record.rank >= best.rank:
            best = record

    return tell


def accuracies(record: EpochRecord) -> str:
    """The accuracies of an epoch in words."""
    robust = "" if record.robust is None else f", robust {record.robust:.2%}"
    return f"validation natural {record.natural:.2%}{robust}"


def command_line() -> str:
    """The command line, for the record."""
    return shlex.join(["gdws", *sys.argv[1:]])
