"""How networks are trained: from fresh weights, and on after conversion."""

from __future__ import annotations

import contextlib
import dataclasses
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gdws.cli.options.common import Calibration, Quiet, Seed
from gdws.cli.options.network import named_values
from gdws.cli.options.recipes import LayoutName, read_plans
from gdws.cli.views.output import errors, progress_bar
from gdws.errors import GdwsError

if TYPE_CHECKING:
    from gdws._util.distributed import Workers
    from gdws._util.progress import Progress
    from gdws.bundles.packing import PackedVariant
    from gdws.datasets import Split
    from gdws.pipeline import Source
    from gdws.training import EpochRecord, FinetuneSettings, Preset, TrainSettings


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


class BatchNorm(str, Enum):
    """What images are normalised by, see :class:`gdws.training.FinetuneSettings`."""

    batch = "batch"
    fixed = "fixed"


@dataclass(frozen=True)
class RunOptions:
    """Where training runs, and from where it goes on."""

    device: Annotated[
        str,
        typer.Option(
            "--device", metavar="cpu|cuda", help="Where to train, as torch names it; cuda is one GPU for each process."
        ),
    ] = "cpu"
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the unfinished run beside --out.")] = False
    quiet: Quiet = False

    @contextlib.contextmanager
    def processes(self, out: Path) -> Iterator[tuple[Workers, Progress]]:
        """The processes that torchrun started, or this one, and a bar in the leading one.

        After an interrupt the user is told how to go on, if there is something to go on from.
        """
        from gdws._util.distributed import launched
        from gdws.training import state_path

        with launched(self.device) as workers:
            try:
                with progress_bar(self.quiet or not workers.leads) as progress:
                    yield workers, progress
            except KeyboardInterrupt:
                if workers.leads and state_path(out).exists():
                    errors().print("the finished epochs are kept; go on with the same command and --resume")
                raise


@dataclass(frozen=True)
class TrainOptions:
    """What takes the place of the preset's values."""

    net: Annotated[str | None, typer.Option("--net", metavar="NAME", help="The network: see gdws nets.")] = None
    net_option: Annotated[
        list[str] | None, typer.Option("--net-option", metavar="NAME=VALUE", help="E.g. width=16. Repeatable.")
    ] = None
    epochs: Annotated[int | None, typer.Option("--epochs", help="Passes over the training images.")] = None
    batch_size: Annotated[int | None, typer.Option("--batch-size", help="Images in a step, over all processes.")] = None
    eps: Annotated[float | None, typer.Option("--eps", help="Radius of the attack trained against; 0: none.")] = None
    step: Annotated[
        float | None, typer.Option("--step", help="Step size of that attack. Default: 2.5 * eps / iterations.")
    ] = None
    iterations: Annotated[int | None, typer.Option("--iterations", help="Steps of that attack.")] = None
    validation_iterations: Annotated[
        int | None,
        typer.Option("--validation-iterations", help="Steps of the attack that chooses the best epoch."),
    ] = None
    validation_images: Annotated[
        int | None,
        typer.Option("--validation-images", help="Validation images that judge an epoch."),
    ] = None
    optimizer: Annotated[Optimizer | None, typer.Option("--optimizer", help="What descends.")] = None
    learning_rate: Annotated[float | None, typer.Option("--learning-rate", help="The highest of the schedule.")] = None
    momentum: Annotated[float | None, typer.Option("--momentum", help="Of SGD.")] = None
    weight_decay: Annotated[float | None, typer.Option("--weight-decay", help="On all weights.")] = None
    schedule: Annotated[Schedule | None, typer.Option("--schedule", help="Of the learning rate.")] = None
    shift: Annotated[
        int | None, typer.Option("--shift", help="Largest random shift of an image, in pixels (random crop).")
    ] = None
    flip: Annotated[bool | None, typer.Option("--flip/--no-flip", help="Mirror images at random.")] = None
    precision: Annotated[
        Precision | None,
        typer.Option("--precision", help="bf16: mixed precision; auto: that, on GPUs that have it."),
    ] = None
    seed: Seed = 0

    def settings(self, preset: Preset) -> TrainSettings:
        """The settings of ``preset`` with what options give. Raises :class:`~gdws.errors.GdwsError`."""
        given = {field.name: _value(getattr(self, field.name)) for field in dataclasses.fields(self)}
        given["net_options"] = named_values(given.pop("net_option"), "--net-option") or None
        base = preset.settings
        if self.step is None and (self.eps is not None or self.iterations is not None):
            base = dataclasses.replace(base, step=None)
        return dataclasses.replace(base, **{name: value for name, value in given.items() if value is not None})


@dataclass(frozen=True)
class FinetuneOptions:
    """How a converted network is trained on."""

    epochs: Annotated[int, typer.Option("--epochs", help="At most so many passes over the training images.")] = 2
    batch_size: Annotated[int, typer.Option("--batch-size", help="Images in a step, over all processes.")] = 64
    eps: Annotated[float, typer.Option("--eps", help="Radius of the attack trained against; 0: none.")] = 0.2
    iterations: Annotated[int, typer.Option("--iterations", help="Steps of that attack, of 2.5 * eps / steps.")] = 5
    validation_iterations: Annotated[
        int, typer.Option("--validation-iterations", help="Steps of the attack that chooses the epoch.")
    ] = 20
    learning_rate: Annotated[float, typer.Option("--learning-rate", help="The highest, of Adam.")] = 3e-4
    shift: Annotated[int, typer.Option("--shift", help="Largest random shift of an image, in pixels.")] = 2
    flip: Annotated[bool, typer.Option("--flip/--no-flip", help="Mirror images at random.")] = False
    batch_norm: Annotated[
        BatchNorm,
        typer.Option("--batch-norm", help="Normalise by each batch, as in training, or by fixed statistics."),
    ] = BatchNorm.batch
    seed: Seed = 0

    def settings(self) -> FinetuneSettings:
        """The settings as training takes them. Raises :class:`~gdws.errors.GdwsError`."""
        from gdws.training import FinetuneSettings

        return FinetuneSettings(**{field.name: _value(getattr(self, field.name)) for field in dataclasses.fields(self)})


@dataclass(frozen=True)
class MakingOptions:
    """The GDWS network that a dense one becomes before it is trained on."""

    mean_rank: Annotated[
        float | None,
        typer.Option("--mean-rank", metavar="G/C", help="Convert to this mean rank in each layer first, data-aware."),
    ] = None
    layout: Annotated[LayoutName, typer.Option("--layout", help="How the layers of --mean-rank run.")] = (
        LayoutName.gather
    )
    plan: Annotated[Path | None, typer.Option("--plan", metavar="FILE", help="Convert by this plan first.")] = None
    calibration: Calibration = 1024

    def convert(self, source: Source, train: Split, settings: FinetuneSettings, progress: Progress) -> PackedVariant:
        """The GDWS network of one recipe or one stored plan, fitted to images under the attack trained against.

        Raises :class:`~gdws.errors.GdwsError` unless one of both is given.
        """
        from gdws import pipeline
        from gdws.evaluation.attacks import AttackSpec
        from gdws.planning.budget import MeanRank

        if (self.mean_rank is None) == (self.plan is None):
            raise GdwsError(f"{source.name} is a dense network", hint="convert it first: give --mean-rank or --plan")
        recipes = []
        if self.mean_rank is not None:
            recipes = [pipeline.Recipe(MeanRank(self.mean_rank), layout=self.layout.value, method="data-aware")]
        attack = AttackSpec(eps=settings.eps, seed=settings.seed) if settings.eps > 0 else None
        [_, made] = pipeline.convert_fitted(
            source,
            recipes,
            train.first(self.calibration),
            attack,
            plans=read_plans(None if self.plan is None else [self.plan]),
            progress=progress,
        )
        return made


def tell(record: EpochRecord) -> None:
    """Print one line on an epoch, to standard error."""
    loss = "" if record.loss is None else f"loss {record.loss:.4f}, "
    errors().print(
        f"epoch {record.epoch}: {loss}validation natural {record.natural:.2%}, robust {record.robust:.2%}", style="dim"
    )


def command_line() -> str:
    """What was typed, for the record."""
    return shlex.join(["gdws", *sys.argv[1:]])


def _value(choice: Any) -> Any:
    return choice.value if isinstance(choice, Enum) else choice
