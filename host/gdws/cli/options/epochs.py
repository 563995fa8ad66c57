"""What the commands that train have in common."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gdws.cli.views.output import errors, progress_bar

if TYPE_CHECKING:
    from gdws._util.distributed import Workers
    from gdws._util.progress import Progress
    from gdws.training import EpochRecord

TrainingDevice = Annotated[
    str,
    typer.Option(
        "--device", metavar="cpu|cuda", help="Where to train, as torch names it; cuda is one GPU for each process."
    ),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the unfinished run beside --out.")]


def tell(record: EpochRecord) -> None:
    """Print one line on an epoch, to standard error."""
    loss = "" if record.loss is None else f"loss {record.loss:.4f}, "
    errors().print(
        f"epoch {record.epoch}: {loss}validation natural {record.natural:.2%}, robust {record.robust:.2%}", style="dim"
    )


def command_line() -> str:
    """What was typed, for the record."""
    return shlex.join(["gdws", *sys.argv[1:]])


@contextlib.contextmanager
def training_run(device: str, quiet: bool, out: Path) -> Iterator[tuple[Workers, Progress]]:
    """The processes that torchrun started, or this one, and a bar in the leading one.

    After an interrupt the user is told how to go on, if there is something to go on from.
    """
    from gdws._util.distributed import launched
    from gdws.training import state_path

    with launched(device) as workers:
        try:
            with progress_bar(quiet or not workers.leads) as progress:
                yield workers, progress
        except KeyboardInterrupt:
            if workers.leads and state_path(out).exists():
                errors().print("the finished epochs are kept; go on with the same command and --resume")
            raise
